//! Causes of a failed read, told apart for the core: silence, a refusal, an answer that cannot be read.
//!
//! The core puts the words of a refusal into its sentence, so they are made to fit one line.

use muster_membership::Unread;

use crate::etcd::Failure;
use crate::kubernetes::BirthFailure;
use crate::one_line::one_line;

/// An error of a read.
pub(super) trait Cause: std::fmt::Display {
    /// Its cause, as the core tells causes apart.
    fn unread(&self) -> Unread;
}

impl Cause for kube::Error {
    fn unread(&self) -> Unread {
        match self {
            // An overload or an error inside says nothing of the request: HTTP 408, 429, 5xx.
            Self::Api(status) if status.code == 408 || status.code == 429 || status.code >= 500 => Unread::Silent,
            Self::Api(status) => Unread::Refused(words(&status.message, &status.reason, status.code)),
            Self::SerdeError(error) => Unread::Unreadable(one_line(&error.to_string())),
            Self::FromUtf8(error) => Unread::Unreadable(one_line(&error.to_string())),
            // A connection that cannot be made or was cut, a token that cannot be read.
            _ => Unread::Silent,
        }
    }
}

impl Cause for BirthFailure {
    fn unread(&self) -> Unread {
        match self {
            Self::Kube(error) => error.unread(),
            Self::Record(error) => Unread::Unreadable(one_line(&error.to_string())),
            Self::Silent | Self::Changed(_) => Unread::Silent,
        }
    }
}

impl Cause for Failure {
    fn unread(&self) -> Unread {
        match self {
            // A learner that does not serve such reads is as good as none.
            Self::Refused(words) if words.contains("learner") => Unread::Silent,
            Self::Refused(words) => Unread::Refused(one_line(words)),
            Self::Unknown(_) => Unread::Silent,
        }
    }
}

/// The report of another agent.
impl Cause for anyhow::Error {
    fn unread(&self) -> Unread {
        match self.downcast_ref::<serde_json::Error>() {
            Some(error) => Unread::Unreadable(one_line(&error.to_string())),
            None => Unread::Silent,
        }
    }
}

/// The error of a step in the words of who refused it, to fit one line of a sentence.
pub(in crate::sidecar) fn refusal(error: &anyhow::Error) -> String {
    match error.downcast_ref::<BirthFailure>().map(Cause::unread) {
        Some(Unread::Refused(words)) => format!("the API server refuses: {words}"),
        _ => one_line(&error.to_string()),
    }
}

/// The API server's sentence; without one its reason, with neither the HTTP status.
fn words(message: &str, reason: &str, code: u16) -> String {
    match (message, reason) {
        ("", "") => format!("HTTP {code}"),
        ("", reason) => one_line(reason),
        (message, _) => one_line(message),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Response;
    use kube::client::Body;
    use muster_membership::{Birth, Workload};
    use serde_json::json;

    use super::*;
    use crate::kubernetes::mock_api::{config, pair};
    use crate::kubernetes::{BirthStore, Kubernetes, WorkloadReader};
    use crate::sidecar::observe::read::read_if;

    const WITHIN: Duration = Duration::from_secs(2);

    /// The API of a server that gives every request this answer; without one, none.
    fn api(answer: Option<(u16, String)>) -> Kubernetes {
        let (client, mut server) = pair();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Some((_, send)) = server.next_request().await {
                match &answer {
                    Some((code, body)) => {
                        let response = Response::builder()
                            .status(*code)
                            .body(Body::from(body.clone().into_bytes()));
                        send.send_response(response.unwrap());
                    }
                    None => held.push(send),
                }
            }
        });
        Kubernetes::new(client, &config())
    }

    fn failure(code: u16, reason: &str, message: &str) -> Option<(u16, String)> {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "reason": reason, "message": message, "code": code});
        Some((code, status.to_string()))
    }

    fn record(phase: &str, cluster: &str) -> Option<(u16, String)> {
        let object = json!({"metadata": {"name": "c-birth"}, "data": {"phase": phase, "clusterID": cluster}});
        Some((200, object.to_string()))
    }

    async fn workload(answer: Option<(u16, String)>) -> Result<Workload, Unread> {
        let reader = WorkloadReader::new(api(answer));
        read_if(true, "StatefulSet", WITHIN, reader.read()).await.unwrap()
    }

    async fn birth(answer: Option<(u16, String)>) -> Result<Option<Birth>, Unread> {
        let store = BirthStore::new(api(answer));
        read_if(true, "birth record", WITHIN, store.read()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_silence_and_an_answer_that_cannot_be_read_are_three_causes() {
        let words = "statefulsets.apps \"c\" is forbidden:\n\tno such role";
        let refused = Unread::Refused("statefulsets.apps \"c\" is forbidden: no such role".into());
        assert_eq!(workload(failure(403, "Forbidden", words)).await, Err(refused));
        assert_eq!(workload(None).await, Err(Unread::Silent));
        let decoded = workload(Some((200, r#"{"metadata": 5}"#.into()))).await;
        assert!(
            matches!(&decoded, Err(Unread::Unreadable(words)) if words.contains("invalid type")),
            "{decoded:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_is_refused_is_told_in_the_refusers_words() {
        let words = "configmaps \"c-birth\" is immutable:\n\tfield is immutable when `immutable` is set";
        let store = BirthStore::new(api(failure(422, "Invalid", words)));
        let error = anyhow::Error::from(store.read().await.unwrap_err());
        assert_eq!(
            refusal(&error),
            "the API server refuses: configmaps \"c-birth\" is immutable: field is immutable when `immutable` is set"
        );
        let full = anyhow::anyhow!("cannot write /var/lib/etcd/identity.json:\nNo space left on device");
        assert_eq!(
            refusal(&full),
            "cannot write /var/lib/etcd/identity.json: No space left on device"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_say_is_as_good_as_silent() {
        for code in [408, 429, 500, 503, 504] {
            let answer = workload(failure(code, "ServiceUnavailable", "try again")).await;
            assert_eq!(answer, Err(Unread::Silent), "{code}");
        }
        for code in [401, 422] {
            let answer = workload(failure(code, "Unauthorized", "who are you")).await;
            assert_eq!(answer, Err(Unread::Refused("who are you".into())), "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_object_is_no_failure() {
        assert_eq!(workload(failure(404, "NotFound", "gone")).await, Ok(Workload::Missing));
        assert_eq!(birth(failure(404, "NotFound", "gone")).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_birth_record_says_what_is_damaged() {
        let damaged = birth(record("formed", "not an ID")).await;
        assert!(
            matches!(&damaged, Err(Unread::Unreadable(words)) if words.contains("not an ID")),
            "{damaged:?}"
        );
        let refused = birth(failure(403, "Forbidden", "no")).await;
        assert_eq!(refused, Err(Unread::Refused("no".into())));
        assert_eq!(birth(None).await, Err(Unread::Silent));
    }

    #[test]
    fn a_learner_that_serves_no_reads_does_not_refuse_and_a_missing_user_does() {
        let learner = Failure::Refused("etcdserver: rpc not supported for learner".into());
        assert_eq!(learner.unread(), Unread::Silent);
        let user = Failure::Refused("etcdserver: user name is empty".into());
        assert_eq!(user.unread(), Unread::Refused("etcdserver: user name is empty".into()));
        assert_eq!(
            Failure::Unknown("etcdserver: no leader".into()).unread(),
            Unread::Silent
        );
    }

    #[test]
    fn an_answer_without_a_sentence_has_a_reason_or_its_status() {
        assert_eq!(words("", "", 418), "HTTP 418");
        assert_eq!(words("", "Forbidden", 403), "Forbidden");
    }
}
