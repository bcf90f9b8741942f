//! Addresses and users that can't be used, which are told at the start.

use super::refusals::port;
use super::*;

async fn refused(url: &str) -> Fault {
    let error = try_connect(url, "t").await.err().expect("it can't be used");
    let (shown, debug) = (error.to_string(), format!("{error:?}"));
    assert!(!shown.contains("s3cret") && !debug.contains("s3cret"), "{shown} {debug}");
    match error {
        ConnectError::Refused(fault) => fault,
        error => unreachable!("redis refused: {error:?}"),
    }
}

#[tokio::test]
async fn wrong_or_missing_password_is_told_at_the_start() {
    let server = server(&["--requirepass", "s3cret"]).await;
    let port = port(&server.url());
    does_everything(&connect(&format!("redis://:s3cret@127.0.0.1:{port}")).await).await;
    let missing = refused(&server.url()).await;
    assert!(matches!(missing, Fault::NoPassword), "{missing:?}");
    for login in [":s3cretx", "nobody:s3cret"] {
        let wrong = refused(&format!("redis://{login}@127.0.0.1:{port}")).await;
        assert!(matches!(wrong, Fault::WrongPassword), "{wrong:?}");
        assert_eq!(wrong.to_string(), "redis refuses the user or password in `redis_url`");
    }
}

#[tokio::test]
async fn user_with_the_rights_that_are_named_can_do_everything_and_others_are_told() {
    let server = server(&[]).await;
    let port = port(&server.url());
    let acl: &[&[u8]] = &[
        b"ACL",
        b"SETUSER",
        b"enough",
        b"on",
        b">s3cret",
        b"~rb:*",
        b"+@scripting",
        b"+@string",
        b"+@keyspace",
        b"+time",
        b"+info",
    ];
    let () = command(&server.url(), acl).await;
    let acl: &[&[u8]] = &[b"ACL", b"SETUSER", b"few", b"on", b">s3cret", b"~rb:*", b"+get"];
    let () = command(&server.url(), acl).await;

    let enough = connect_as(&format!("redis://enough:s3cret@127.0.0.1:{port}"), "rb").await;
    does_everything(&enough).await;
    enough.facts(&ringback_runtime::SystemClock).await.expect("it may ask");

    let few = refused(&format!("redis://few:s3cret@127.0.0.1:{port}")).await;
    assert!(matches!(few, Fault::NotAllowed(_)), "{few:?}");
}

#[tokio::test]
async fn server_that_is_no_cluster_and_node_that_is_one_are_told_apart() {
    let single = server(&[]).await;
    let node_port = ringback_testkit::free_port().expect("a free port").to_string();
    let node = server(&["--cluster-enabled", "yes", "--cluster-port", &node_port]).await;
    let slots: &[&[u8]] = &[b"CLUSTER", b"ADDSLOTSRANGE", b"0", b"16383"];
    let () = command(&node.url(), slots).await;

    let fault = refused(&single.url().replace("redis://", "redis-cluster://")).await;
    assert!(matches!(fault, Fault::NoCluster), "{fault:?}");
    let fault = refused(&node.url()).await;
    assert!(matches!(fault, Fault::IsCluster), "{fault:?}");
}

#[tokio::test]
async fn socket_serves_as_well_as_a_port() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("redis.sock");
    let _server = server(&["--unixsocket", &socket.to_string_lossy()]).await;
    does_everything(&connect(&format!("unix://{}", socket.display())).await).await;
}

#[tokio::test]
async fn certificate_of_an_unknown_authority_is_refused_and_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    };
    let certificate = file("certificate.pem", made.cert.pem());
    let key = file("key.pem", made.signing_key.serialize_pem());
    let port = ringback_testkit::free_port().expect("a free port").to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let _server = server(&[&tls, ["--tls-auth-clients", "no"].as_slice()].concat()).await;

    // The system may come to know it, so it is no reason not to start.
    let store = connect(&format!("rediss://127.0.0.1:{port}")).await;
    let error = store.ready().await.expect_err("nobody knows who signed that");
    let Fault::Unconnected(cause) = fault(&error) else { unreachable!("no connection: {error:?}") };
    assert!(cause.to_string().contains("UnknownIssuer"), "{cause}");
}

#[tokio::test]
async fn bad_settings_are_named() {
    let error = try_connect("redis://:s3cret@host/x", "t").await.err().expect("no database");
    assert!(error.to_string().starts_with("redis_url: "), "{error}");
    assert!(!error.to_string().contains("s3cret"));
    for prefix in ["", "a{b}", "ä", &"x".repeat(33)] {
        let error = try_connect("redis://127.0.0.1", prefix).await.err();
        assert!(matches!(error, Some(ConnectError::Prefix(_))), "{prefix}");
    }
}
