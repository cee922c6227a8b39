//! Questions that outlive the look that asked them.
//!
//! A look at the world waits about a second for an answer. An etcd on a slow disk may need longer for each
//! and every one: its Status waits for the backend's sync, a linearizable read for those of a quorum. So a
//! question that a look did not wait for goes on, and its answer counts at the next look, as of the moment
//! when it was asked. The next look asks anew besides: an answer on its way does not hide a connection that is
//! dead, and from the third look on each has one, as long as answers take less than three seconds or so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muster_membership::timing;
use tokio::sync::Mutex as Turn;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::Failure;

/// An answer to a question from longer ago moves nothing.
pub(super) const OLDEST: Duration = timing::FRESHNESS;
/// How old a question may be whose answer is given out: until a decision, the look's other parts take their time.
const USABLE: Duration = timing::FRESHNESS.saturating_sub(Duration::from_millis(800));
/// With a late answer at hand, how long one to the question of this moment is waited for. What is slow does not
/// become quick in it, and what is at hand does not become old.
const SOON: Duration = Duration::from_millis(500);

/// Questions of one kind, by the URL that they were sent to.
#[derive(Debug)]
pub(super) struct Late<T> {
    lines: Mutex<BTreeMap<String, Arc<Turn<Line<T>>>>>,
}

/// The questions on their way to one endpoint, and when the one was asked whose answer was given out last.
#[derive(Debug)]
struct Line<T> {
    asked: JoinSet<(Instant, Result<T, Failure>)>,
    last: Option<Instant>,
}

impl<T> Default for Late<T> {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
        }
    }
}

impl<T: Send + 'static> Late<T> {
    /// Sends `question` to `url` and waits `within` for its answer; if that does not come, the newest of
    /// those that came to earlier questions is given instead. With it comes when it was asked.
    ///
    /// # Errors
    /// The question failed, or there is no answer yet.
    pub(super) async fn ask(
        &self,
        url: &str,
        within: Duration,
        question: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<(Instant, T), Failure> {
        let (line, now) = (self.line(url), tokio::time::Instant::now());
        let mut line = line.lock().await;
        let own = now.into_std();
        line.asked.spawn(async move {
            let silent = || Failure::Unknown("no answer".into());
            let answer = timeout(OLDEST, question).await;
            (own, answer.unwrap_or_else(|_| Err(silent())))
        });
        let mut best = None;
        let mut until = now + within;
        while let Ok(Some(ended)) = timeout_at(until, line.asked.join_next()).await {
            match ended {
                Ok((asked, Err(failure))) if asked == own => return Err(failure),
                Ok((asked, Ok(answer))) if line.last.is_none_or(|last| asked > last) && usable(asked) => {
                    line.last = Some(asked);
                    best = Some((asked, answer));
                    if asked == own {
                        break;
                    }
                    until = until.min(tokio::time::Instant::now() + SOON);
                }
                // Older than what is known, failed since, or stopped.
                _ => {}
            }
        }
        best.filter(|(asked, _)| usable(*asked))
            .ok_or_else(|| Failure::Unknown(format!("no answer from {url} within {} ms", within.as_millis())))
    }

    fn line(&self, url: &str) -> Arc<Turn<Line<T>>> {
        let fresh = || {
            Arc::new(Turn::new(Line {
                asked: JoinSet::new(),
                last: None,
            }))
        };
        match self.lines.lock() {
            Ok(mut lines) => lines.entry(url.to_owned()).or_insert_with(fresh).clone(),
            Err(_) => fresh(),
        }
    }

    /// Forgets every question at the endpoints that `keep` does not name: what is answered yet does not count.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.retain(|url, _| keep(url));
        }
    }
}

fn usable(asked: Instant) -> bool {
    tokio::time::Instant::now().into_std() - asked < USABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_millis(1_000);

    async fn answers<T>(after: u64, answer: T) -> Result<T, Failure> {
        tokio::time::sleep(Duration::from_millis(after)).await;
        Ok(answer)
    }

    fn age(asked: Instant) -> u128 {
        (tokio::time::Instant::now().into_std() - asked).as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn each_look_has_an_answer_however_slow_they_are() {
        for takes in [1_100, 1_900, 2_500, 3_000] {
            let late = Late::default();
            assert!(late.ask("a", WITHIN, answers(takes, 0)).await.is_err());
            let mut missed = 0;
            for look in 1..20 {
                match late.ask("a", WITHIN, answers(takes, look)).await {
                    Ok((asked, _)) => assert!(age(asked) < USABLE.as_millis(), "{takes}"),
                    Err(_) => missed += 1,
                }
            }
            assert!(
                missed <= 2,
                "{missed} of 20 looks had no answer when they took {takes} ms"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_again_makes_the_older_answers_old() {
        let late = Late::default();
        assert!(late.ask("a", WITHIN, answers(2_500, 1)).await.is_err());
        assert_eq!(late.ask("a", WITHIN, answers(10, 2)).await.unwrap().1, 2);
        let next = late.ask("a", WITHIN, answers(3_000, 3)).await;
        assert!(next.is_err(), "{next:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_long_ago_counts_no_more() {
        let late = Late::default();
        assert!(late.ask("a", WITHIN, answers(1_500, 1)).await.is_err());
        tokio::time::sleep(OLDEST).await;
        assert!(late.ask("a", WITHIN, answers(1_500, 2)).await.is_err());
        assert!(
            late.ask("b", WITHIN, answers(OLDEST.as_millis() as u64 + 1, 1))
                .await
                .is_err()
        );
        tokio::time::sleep(OLDEST).await;
        assert!(late.ask("b", WITHIN, answers(1_500, 2)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_now_is_not_made_up_for_by_an_earlier_answer() {
        let late = Late::default();
        assert!(late.ask("a", WITHIN, answers(1_200, 1)).await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;
        let refused = Failure::Refused("learner".into());
        let answer = late.ask("a", WITHIN, std::future::ready(Err(refused.clone()))).await;
        assert_eq!(answer, Err(refused));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_is_not_answered() {
        let late = Late::default();
        assert!(late.ask("a", WITHIN, answers(1_500, 1)).await.is_err());
        late.retain(|url| url != "a");
        assert!(late.ask("a", WITHIN, answers(1_500, 2)).await.is_err());
    }
}
