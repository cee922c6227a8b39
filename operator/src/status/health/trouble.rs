//! Trouble of a cluster, if something is out of order: the cause in one word, and in a sentence. No client.

use muster_api::Reason;
use muster_api::status::{Quorum, SeatPhase, SeatStatus};

use super::HealthInput;
use crate::obstacle::Obstacle;
use crate::plan::size::SizeStep;

/// Something that is out of order.
pub(super) struct Trouble {
    pub(super) reason: Reason,
    /// A sentence for people.
    pub(super) message: String,
}

impl HealthInput<'_> {
    /// The trouble, if something is out of order; the worst first. Pods that cannot run are told also while the cluster
    /// changes, which will not end without them; pods that are only not ready yet are not.
    pub(super) fn trouble(&self, quorum: Quorum, progressing: bool) -> Option<Trouble> {
        let trouble = |reason, message| Some(Trouble { reason, message });
        let record = self.names().birth_record();
        if self.record_missing {
            let message = format!(
                "ConfigMap {record} is missing, and no agent has published the cluster's ID yet; until one does, no member can join."
            );
            return trouble(Reason::BirthRecordMissing, message);
        }
        if let Some(damage) = &self.record_damage {
            let message =
                format!("ConfigMap {record} cannot be read, so no member can join until it is corrected: {damage}.");
            return trouble(Reason::BirthRecordDamaged, message);
        }
        let refused = self.status.seats.iter().find(|seat| seat.phase == SeatPhase::Refused);
        if let Some(seat) = refused {
            return trouble(Reason::SeatRefused, sentence(seat));
        }
        if quorum == Quorum::Lost {
            return trouble(Reason::QuorumLost, self.lost_quorum());
        }
        // etcd's own words say more than that its container ends again and again.
        if let Some(seat) = self.without_start() {
            return trouble(Reason::EtcdDoesNotStart, sentence(seat));
        }
        if let Some((_, obstacle)) = self.obstructed().next() {
            return trouble(obstacle.reason, self.hindrances().join(" "));
        }
        if self.refusal.is_some() {
            return trouble(Reason::EvictionRefused, self.hindrances().join(" "));
        }
        let unready = !progressing && !self.unready().is_empty();
        unready.then(|| Trouble {
            reason: Reason::MembersNotReady,
            message: self.waiting_seats(),
        })
    }

    /// The cause of what is out of order: of a quorum that is lost, what keeps the other pods from running.
    pub(super) fn cause(&self, trouble: Option<&Trouble>) -> Option<Reason> {
        let reason = trouble?.reason;
        let obstacle = self.obstructed().next().filter(|_| reason == Reason::QuorumLost);
        Some(obstacle.map_or(reason, |(_, obstacle)| obstacle.reason))
    }

    /// A seat whose etcd ends before it serves, again and again.
    fn without_start(&self) -> Option<&SeatStatus> {
        let unready: Vec<String> = self.unready().iter().map(|seat| self.names().pod(*seat)).collect();
        let fails = |seat: &&SeatStatus| seat.reason == Reason::EtcdDoesNotStart.name();
        self.alive().filter(fails).find(|seat| unready.contains(&seat.name))
    }

    /// The wanted seats whose pods something keeps from running.
    fn obstructed(&self) -> impl Iterator<Item = (u32, &Obstacle)> {
        let unready = self.unready().into_iter();
        unready.filter_map(|seat| Some((seat, self.obstacles.get(&seat)?)))
    }

    /// The sentences of what Kubernetes does not do: run a pod, or evict one.
    pub(super) fn hindrances(&self) -> Vec<String> {
        let obstacles = self.obstructed().filter_map(|(seat, _)| self.seat_sentence(seat));
        let refusal = self
            .refusal
            .map(|refusal| format!("{}.", refusal.trim_end_matches('.')));
        obstacles.chain(refusal).collect()
    }

    /// The sentences of the seats that are not ready.
    pub(super) fn waiting_seats(&self) -> String {
        let unready = self.unready();
        let said: Vec<String> = unready.iter().filter_map(|seat| self.seat_sentence(*seat)).collect();
        if !said.is_empty() {
            return said.join(" ");
        }
        let names: Vec<String> = unready.iter().map(|seat| self.names().pod(*seat)).collect();
        match names.as_slice() {
            [] => "Every pod is ready.".to_owned(),
            [name] => format!("{name} is not ready."),
            _ => format!("{} are not ready.", names.join(", ")),
        }
    }

    /// The seats that miss the quorum, the sentences of the others, and the next command for a person.
    pub(super) fn lost_quorum(&self) -> String {
        let (lost, others): (Vec<&SeatStatus>, Vec<&SeatStatus>) =
            self.alive().partition(|seat| seat.quorum == Quorum::Lost);
        let names: Vec<&str> = lost.iter().map(|seat| seat.name.as_str()).collect();
        let voters = lost.iter().map(|seat| seat.voters).max().unwrap_or(0);
        // The sentence of one that is left has the command that fits how it stands.
        let first = lost.iter().min_by_key(|seat| seat.phase != SeatPhase::Voter);
        let own: String = first.iter().map(|seat| format!(" {}.", sentence(seat))).collect();
        // What an agent said before its pod stopped to run is of the past.
        let obstructed: Vec<String> = self.obstructed().map(|(seat, _)| self.names().pod(seat)).collect();
        let others = others.iter().filter(|seat| !obstructed.contains(&seat.name));
        let mut said: String = others.map(|seat| format!(" {}.", sentence(seat))).collect();
        for sentence in self.hindrances() {
            said += &format!(" {sentence}");
        }
        if self.plan.step == SizeStep::Rescue {
            return format!("{}{said}", self.plan.why);
        }
        let namespace = self.cluster.namespace.iter().map(|name| format!(" --namespace {name}"));
        let kubectl = format!("kubectl{}", namespace.collect::<String>());
        format!(
            "{} of {voters} voters answer without a quorum: {}. It is back as soon as enough of the others are: {kubectl} get pods --selector {}.{own}{said}",
            lost.len(),
            names.join(", "),
            self.names().selector_text(),
        )
    }

    /// The sentence about a seat that is not ready: of Kubernetes, if that keeps its pod from running, else the agent's.
    pub(super) fn seat_sentence(&self, seat: u32) -> Option<String> {
        let pod = self.names().pod(seat);
        if let Some(obstacle) = self.obstacles.get(&seat).filter(|_| self.unready().contains(&seat)) {
            return Some(format!("{pod}: {}.", obstacle.clause));
        }
        self.status.seats.iter().find(|entry| entry.name == pod).map(sentence)
    }
}

/// A seat's sentence, with the reason that its agent gives, which may be a word of another release.
fn sentence(seat: &SeatStatus) -> String {
    let reason = match seat.reason.as_str() {
        "" => String::new(),
        reason => format!(", {reason}"),
    };
    format!("{} ({}{reason}): {}", seat.name, seat.phase, seat.why)
}
