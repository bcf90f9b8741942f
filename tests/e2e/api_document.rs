//! The API does what `/openapi.json` says: checked by schemathesis, which makes requests of all kinds from the document,
//! right ones and wrong ones, and compares each answer with it.

use std::time::Duration;

use ringback_testkit::{Launch, python};

use crate::support::{ADMIN_KEY, Ringback, SOON};

/// Some thousand requests.
const PATIENCE: Duration = Duration::from_secs(280);

/// A refusal that the document does not name would be found as well as one with status 5xx.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance";

#[tokio::test]
async fn document_is_valid_openapi() {
    let ringback = Ringback::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let document = ringback.api.get("/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let file = directory.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).expect("there is room");
    let validator = Launch::new(python().expect("it is there"), directory.path())
        .args(["-m", "openapi_spec_validator"])
        .arg(file);
    let mut run = validator.start().expect("it starts");
    let status = run.wait_exit(SOON).await.expect("it ends");
    assert!(status.success(), "{}", run.output());
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let ringback = Ringback::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let schemathesis = Launch::new(python().expect("it is there"), directory.path())
        .args(["-m", "schemathesis.cli", "run"])
        .arg(format!("{}/openapi.json", ringback.api.url()))
        .args(["--header", &format!("Authorization: Bearer {ADMIN_KEY}")])
        .args(["--checks", CHECKS])
        // The same requests each time, the boundaries of every parameter and field among them.
        .args(["--generation-deterministic", "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "20", "--continue-on-failure", "--suppress-health-check", "all"])
        // A stream without an end.
        .args(["--exclude-path", "/v1/attempts/live"])
        .args(["--request-timeout", "30", "--warnings", "off", "--no-color"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut run = schemathesis.start().expect("it starts");
    let status = run.wait_exit(PATIENCE).await.expect("it ends");
    let output = run.output();
    assert!(status.success(), "{output}");
    // Nothing to check would be a success as well.
    assert!(output.contains("Test cases:"), "{output}");
}
