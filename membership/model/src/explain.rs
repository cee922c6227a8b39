//! A counterexample, told step by step.

use crate::etcd;
use crate::model::Model;
use crate::moves::{Move, Outcome, Trace};
use crate::phrases;
use crate::state::{Pod, Record, State};

/// The trace as numbered sentences.
pub fn trace(model: &mut Model, trace: &Trace) -> String {
    let mut text = format!("   start: {}\n", state(model, &trace.start));
    let mut s = trace.start;
    for (number, m) in trace.moves.iter().enumerate() {
        let what = sentence(model, &s, *m);
        text.push_str(&format!("{:>4}. {what}\n", number + 1));
        let Some(next) = model.apply(&s, *m) else { break };
        s = next.state;
    }
    text.push_str(&format!("     now: {}\n broken: {}\n", state(model, &s), trace.broken));
    text
}

/// A state in one line.
#[must_use]
pub fn state(model: &Model, s: &State) -> String {
    let mut parts = vec![];
    let config = model.pools.configs.get(s.config);
    if s.cluster > 0 {
        let members: Vec<_> = config
            .iter()
            .map(|e| {
                let running = if s.runs(e.id) { "" } else { " (down)" };
                let learner = if e.learner { " (learner)" } else { "" };
                format!("{}{learner}{running}", e.id)
            })
            .collect();
        parts.push(format!("members {}", members.join(", ")));
    } else {
        parts.push("no cluster".into());
    }
    if let Some(leader) = s.leader {
        let works = etcd::working_leader(s, &model.pools).is_some();
        parts.push(format!(
            "{leader} leads{}",
            if works { "" } else { " without a quorum" }
        ));
    }
    match s.shrink {
        Some(to) => parts.push(format!("replicas {}, shrinking to {to}", s.replicas)),
        None => parts.push(format!("replicas {}", s.replicas)),
    }
    match s.record {
        Record::Missing => parts.push("no birth record".into()),
        Record::Unclaimed { .. } => parts.push("record unclaimed".into()),
        Record::Claimed(_) => parts.push("record claimed".into()),
        Record::Formed { .. } => {}
    }
    for i in 0..model.settings.seats {
        let seat = &s.seats[i];
        match seat.pod {
            Pod::Ending => parts.push(format!("pod {i} is ending")),
            Pod::Restarting => parts.push(format!("pod {i}'s hook waits")),
            Pod::Gone if seat.wal.is_some() => parts.push(format!("pod {i} is gone, its volume is not")),
            Pod::Gone | Pod::Up => {}
        }
        if let Some(id) = seat.wal.filter(|id| !config.iter().any(|e| e.id == *id)) {
            parts.push(format!("volume {i} has data of {id}, which is no member"));
        }
    }
    if s.cut != 0 {
        parts.push("some do not reach each other".into());
    }
    if s.api_cut == State::API_DOWN {
        parts.push("the API server does not answer".into());
    } else if s.api_cut != 0 {
        parts.push("the API server does not answer everybody".into());
    }
    parts.join("; ")
}

fn sentence(model: &mut Model, s: &State, m: Move) -> String {
    match m {
        Move::Read(i) => format!("seat {i} reads from the API server"),
        Move::Look(i) => format!("seat {i} decides: {}", model.why(s, i)),
        Move::Step(i, outcome) => step(model, s, i, outcome),
        Move::Wait => "a long time passes".into(),
        Move::AgentCrash(i) => format!("! seat {i}'s agent crashes and starts again"),
        Move::EtcdCrash(i) => format!("! seat {i}'s etcd crashes"),
        Move::ProbeFails(i) => format!("! seat {i}'s probe fails: its hook runs"),
        Move::Evict(i) => format!("! pod {i} is evicted: its hook runs"),
        Move::PodDies(i) => format!("! pod {i} is gone at once"),
        Move::VolumeLost(i) => format!("! pod {i} and its volume are gone"),
        Move::WalLost(i) => format!("! seat {i}'s data directory is gone, its identity file is not"),
        Move::Corrupted(i) => format!("! seat {i}'s etcd ends and cannot open its data"),
        Move::Cut(a, b) => format!("! seats {a} and {b} do not reach each other"),
        Move::Isolate(i) => format!("! seat {i} reaches no other seat"),
        Move::Heal => "everybody reaches everybody again".into(),
        Move::ApiDown => "! the API server does not answer".into(),
        Move::ApiCut(i) => format!("! the API server does not answer seat {i}'s agent"),
        Move::Publish => "the EtcdCluster's status names the cluster".into(),
        Move::ApiUp => "the API server answers again".into(),
        Move::RecordDeleted => "! the birth record is deleted".into(),
        Move::RecordMade => "the birth record is made anew".into(),
        Move::WorkloadDeleted => "! the StatefulSet is deleted: all hooks run".into(),
        Move::Scale(to) => format!("somebody sets replicas from {} to {to}", s.replicas),
        Move::Shrink(to) => format!("the operator shrinks from {} to {to}", s.replicas),
        Move::Shrunk => "the operator lowers the replicas to its target".into(),
        Move::PodMade(i) => format!("pod {i} is made"),
        Move::Elect(id, _) => format!("{id} becomes the leader"),
        Move::StepDown => "the leader notices that it has no quorum".into(),
        Move::Commit => "what the leader had proposed commits after all".into(),
        Move::CatchUp(id) => format!("learner {id} has caught up"),
    }
}

fn step(model: &Model, s: &State, i: usize, outcome: Outcome) -> String {
    let seat = &s.seats[i];
    let plan = model.pools.plans.get(seat.plan);
    let next = plan.actions.get(usize::from(seat.step));
    let what = next.map_or_else(|| "does nothing".into(), phrases::action);
    let end = match outcome {
        Outcome::Done => "",
        Outcome::Refused => ": refused",
        Outcome::ReplyLost => ": done, and the reply is lost (!)",
        Outcome::Late => ": not committed yet when it gives up waiting",
    };
    format!("seat {i} {what}{end}")
}
