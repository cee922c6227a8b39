//! Requests that outlive the look that sent them.
//!
//! A look waits about a second for an answer. An etcd on a slow disk may need longer for each and every
//! one: its Status waits for the backend's sync, a linearizable read for those of a quorum. So a request
//! that a look did not wait for goes on, and its answer counts at the next look, as of the moment at which
//! the request was sent. The next look sends another besides: an answer on its way does not hide a
//! connection that is dead, and from the third look on each has an answer, as long as answers take less than
//! three seconds or so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muster_membership::timing;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::Failure;

/// Age of a request whose answer moves nothing any more.
pub(super) const OLDEST: Duration = timing::FRESHNESS;
/// Age of a request whose answer is given out: until a decision, the look's other parts take their time.
const USABLE: Duration = timing::FRESHNESS.saturating_sub(Duration::from_millis(800));
/// Time that the answer to this look's request gets while an earlier one is at hand. A slow endpoint does not
/// become quick in it, and the answer at hand does not become old.
const SOON: Duration = Duration::from_millis(500);

/// Requests of one kind, by the URL that they were sent to.
#[derive(Debug)]
pub(super) struct Pending<T> {
    queues: Mutex<BTreeMap<String, Arc<AsyncMutex<Queue<T>>>>>,
}

/// Requests on their way to one endpoint.
#[derive(Debug)]
struct Queue<T> {
    sent: JoinSet<(Instant, Result<T, Failure>)>,
    /// The moment at which the request was sent whose answer was given out last.
    last: Option<Instant>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
        }
    }
}

impl<T: Send + 'static> Pending<T> {
    /// Sends `request` to `url` and waits `within` for its answer; if that does not come, the newest of the
    /// answers to earlier requests is given instead. With it comes the moment at which its request was sent.
    ///
    /// # Errors
    /// The request failed, or there is no answer yet.
    pub(super) async fn ask(
        &self,
        url: &str,
        within: Duration,
        request: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<(Instant, T), Failure> {
        let (queue, now) = (self.queue(url), tokio::time::Instant::now());
        let mut queue = queue.lock().await;
        let this = now.into_std();
        queue.sent.spawn(async move {
            let silent = || Failure::Unknown("no answer".into());
            let answer = timeout(OLDEST, request).await;
            (this, answer.unwrap_or_else(|_| Err(silent())))
        });
        let mut best = None;
        let mut until = now + within;
        while let Ok(Some(ended)) = timeout_at(until, queue.sent.join_next()).await {
            match ended {
                Ok((sent, Err(failure))) if sent == this => return Err(failure),
                Ok((sent, Ok(answer))) if queue.last.is_none_or(|last| sent > last) && usable(sent) => {
                    queue.last = Some(sent);
                    best = Some((sent, answer));
                    if sent == this {
                        break;
                    }
                    until = until.min(tokio::time::Instant::now() + SOON);
                }
                // Older than the answer at hand, failed since, or stopped.
                _ => {}
            }
        }
        best.filter(|(sent, _)| usable(*sent))
            .ok_or_else(|| Failure::Unknown(format!("no answer from {url} within {} ms", within.as_millis())))
    }

    fn queue(&self, url: &str) -> Arc<AsyncMutex<Queue<T>>> {
        let empty = || {
            Arc::new(AsyncMutex::new(Queue {
                sent: JoinSet::new(),
                last: None,
            }))
        };
        match self.queues.lock() {
            Ok(mut queues) => queues.entry(url.to_owned()).or_insert_with(empty).clone(),
            Err(_) => empty(),
        }
    }

    /// Forgets the requests to every endpoint that `keep` does not name: their answers do not count.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        if let Ok(mut queues) = self.queues.lock() {
            queues.retain(|url, _| keep(url));
        }
    }
}

fn usable(sent: Instant) -> bool {
    tokio::time::Instant::now().into_std() - sent < USABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_millis(1_000);

    async fn answers<T>(after: u64, answer: T) -> Result<T, Failure> {
        tokio::time::sleep(Duration::from_millis(after)).await;
        Ok(answer)
    }

    fn age(sent: Instant) -> u128 {
        (tokio::time::Instant::now().into_std() - sent).as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn each_look_has_an_answer_however_slow_they_are() {
        for takes in [1_100, 1_900, 2_500, 3_000] {
            let pending = Pending::default();
            assert!(pending.ask("a", WITHIN, answers(takes, 0)).await.is_err());
            let mut missed = 0;
            for look in 1..20 {
                match pending.ask("a", WITHIN, answers(takes, look)).await {
                    Ok((sent, _)) => assert!(age(sent) < USABLE.as_millis(), "{takes}"),
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
        let pending = Pending::default();
        assert!(pending.ask("a", WITHIN, answers(2_500, 1)).await.is_err());
        assert_eq!(pending.ask("a", WITHIN, answers(10, 2)).await.unwrap().1, 2);
        let next = pending.ask("a", WITHIN, answers(3_000, 3)).await;
        assert!(next.is_err(), "{next:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_long_ago_counts_no_more() {
        let pending = Pending::default();
        assert!(pending.ask("a", WITHIN, answers(1_500, 1)).await.is_err());
        tokio::time::sleep(OLDEST).await;
        assert!(pending.ask("a", WITHIN, answers(1_500, 2)).await.is_err());
        assert!(
            pending
                .ask("b", WITHIN, answers(OLDEST.as_millis() as u64 + 1, 1))
                .await
                .is_err()
        );
        tokio::time::sleep(OLDEST).await;
        assert!(pending.ask("b", WITHIN, answers(1_500, 2)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_now_is_not_made_up_for_by_an_earlier_answer() {
        let pending = Pending::default();
        assert!(pending.ask("a", WITHIN, answers(1_200, 1)).await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;
        let refused = Failure::Refused("learner".into());
        let answer = pending.ask("a", WITHIN, std::future::ready(Err(refused.clone()))).await;
        assert_eq!(answer, Err(refused));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_is_not_answered() {
        let pending = Pending::default();
        assert!(pending.ask("a", WITHIN, answers(1_500, 1)).await.is_err());
        pending.retain(|url| url != "a");
        assert!(pending.ask("a", WITHIN, answers(1_500, 2)).await.is_err());
    }
}
