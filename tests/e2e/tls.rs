//! Receivers with certificates that hold, and that don't.

use std::fs;

use ringback_testkit::{Certificate, CertificateKind, Receiver};
use serde_json::Value;

use crate::support::{Ringback, attempts, callback_once, event, outcomes, text};

async fn deliver(ringback: &Ringback, receiver: &Receiver) -> Value {
    ringback.api.create_callback(&callback_once(&receiver.url("/hook"))).await;
    let event = ringback.api.send(&event("COMMENT_CREATED")).await;
    ringback.api.settled_delivery(&event).await
}

/// A Ringback that trusts this certificate's authority.
async fn trusting(certificate: &Certificate) -> Ringback {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("authority.pem");
    fs::write(&file, certificate.authority_pem()).expect("written");
    // Read at the start, and not needed after it.
    Ringback::start_with(|launch| launch.env("RINGBACK_CA_FILES", &file)).await
}

#[tokio::test]
async fn certificate_of_an_unknown_authority_is_refused_and_says_why() {
    let certificate = Certificate::generate(CertificateKind::Valid).expect("made");
    let receiver = Receiver::start_tls(&certificate).await.expect("a port");
    let delivery = deliver(&Ringback::start().await, &receiver).await;
    assert_eq!(delivery["status"], "exhausted");
    assert_eq!(outcomes(&delivery), ["connection"]);
    let error = text(&attempts(&delivery)[0]["error"]);
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(receiver.total(), 0);
}

#[tokio::test]
async fn authority_in_a_file_of_ours_is_trusted() {
    let certificate = Certificate::generate(CertificateKind::Valid).expect("made");
    let receiver = Receiver::start_tls(&certificate).await.expect("a port");
    let delivery = deliver(&trusting(&certificate).await, &receiver).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    assert_eq!(receiver.total(), 1);
}

#[tokio::test]
async fn trusted_authority_does_not_mend_a_bad_certificate() {
    for (kind, reason) in
        [(CertificateKind::Expired, "expired"), (CertificateKind::OtherHost, "elsewhere.example")]
    {
        let certificate = Certificate::generate(kind).expect("made");
        let receiver = Receiver::start_tls(&certificate).await.expect("a port");
        let delivery = deliver(&trusting(&certificate).await, &receiver).await;
        assert_eq!(outcomes(&delivery), ["connection"], "{kind:?}");
        let error = text(&attempts(&delivery)[0]["error"]);
        assert!(error.contains(reason), "{kind:?}: {error}");
        assert_eq!(receiver.total(), 0);
    }
}
