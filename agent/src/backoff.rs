//! Pauses between attempts, each twice as long as the one before, by the crate `backon`.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses of attempts that go on until one succeeds.
#[derive(Debug)]
pub(crate) struct Backoff {
    builder: ExponentialBuilder,
    pauses: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    /// Pauses from `first` to `longest`, all of the same lengths: for a neighbour in the pod.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self::over(Self::builder(first, longest), longest)
    }

    /// Pauses that are longer by a random part, up to twice as long: for a server that many clients share.
    pub(crate) fn with_jitter(first: Duration, longest: Duration) -> Self {
        Self::over(
            // Its own seed is the same in every process.
            Self::builder(first, longest)
                .with_jitter()
                .with_jitter_seed(rand::random()),
            longest,
        )
    }

    fn builder(first: Duration, longest: Duration) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest)
            .without_max_times()
    }

    fn over(builder: ExponentialBuilder, longest: Duration) -> Self {
        Self {
            builder,
            pauses: builder.build(),
            longest,
        }
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        self.pauses.next().unwrap_or(self.longest)
    }

    /// Begins anew with the first pause.
    pub(crate) fn reset(&mut self) {
        self.pauses = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_millis(500);

    #[test]
    fn pauses_double_up_to_the_longest_and_never_end() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let millis: Vec<_> = (0..100).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(millis[..4], [100, 200, 400, 500]);
        assert!(millis[4..].iter().all(|pause| *pause == 500));
        backoff.reset();
        assert_eq!(backoff.pause(), FIRST);
    }

    #[test]
    fn jitter_at_most_doubles_a_pause_and_differs() {
        let pauses = || {
            let mut backoff = Backoff::with_jitter(FIRST, LONGEST);
            [backoff.pause(), backoff.pause(), backoff.pause()]
        };
        let (one, other) = (pauses(), pauses());
        assert_ne!(one, other);
        assert!((FIRST..=FIRST * 2).contains(&one[0]), "{one:?}");
    }
}
