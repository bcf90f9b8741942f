//! Values that processes of another version left: both work on the same keys while an upgrade is under way.

use super::*;

/// `{prefix}:k:` and the first half of SHA-256 of `header\0\0a`, where the account is none and the key `a`.
fn request_key(prefix: &str) -> Vec<u8> {
    const HASH: [u8; 16] = [
        0xf3, 0x90, 0x41, 0x46, 0x8d, 0xb1, 0x5f, 0x04, 0x55, 0xbc, 0x2d, 0x2e, 0x59, 0xb0, 0x8a,
        0xaa,
    ];
    [prefix.as_bytes(), b":k:", &HASH].concat()
}

#[tokio::test]
async fn what_0_1_0_left_is_understood() {
    let url = redis_url().expect("a redis is running");
    let prefix = fresh_prefix();
    let store = connect_as(&url, &prefix).await;
    let key = request_key(&prefix);
    let cases: [(&[u8], Begun); 4] = [
        (b"d\0\0\0\0\0\0\0\0answer", Begun::Done { answer: "answer".to_owned() }),
        (b"1", Begun::Done { answer: String::new() }),
        // In progress for ever, and given up long ago.
        (b"p\0\0\0\0\0\0\0\0tokentok9999999999999mark", Begun::InProgress),
        (
            b"u\0\0\0\0\0\0\0\0tokentok0000000000000mark",
            Begun::Unfinished { mark: "mark".to_owned() },
        ),
    ];
    for (value, begun) in cases {
        let () = command(&url, &[b"SET", &key, value]).await;
        let answer = store.begin(&header("a"), "", KEEP, "mine").await.expect("understood");
        assert_eq!(answer, begun, "{}", value.escape_ascii());
    }

    // A claim: microseconds and three digits, or negative where it is settled.
    let claimed = attempt(1, 1);
    let claim = [prefix.as_bytes(), b":c:", claimed.delivery.uuid().as_bytes(), b"\x01"].concat();
    let () = command(&url, &[b"SET", &claim, b"1767323045678000123", b"PX", b"20000"]).await;
    let held = store.claim(&[claimed], LEASE).await.expect("understood");
    assert!(matches!(held[0], crate::Claim::Held { left } if left <= Duration::from_secs(20)));
    let () = command(&url, &[b"SET", &claim, b"-1767323045678000123", b"PX", b"20000"]).await;
    let settled = store.claim(&[claimed], LEASE).await.expect("understood");
    assert_eq!(settled[0], crate::Claim::Settled);
}
