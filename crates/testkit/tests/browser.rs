//! A browser starts as it is told, does what people do, sees what they see, and leaves nothing behind.

use std::fs;
use std::path::Path;

use ringback_testkit::{
    Answer, Behaviour, Browser, BrowserSettings, Extent, Impact, Key, Receiver, Scheme, Script,
    Violation, Window,
};

/// A form, and a script that answers it; styles and scripts as the policy allows them.
const PAGE: &str = r#"<!doctype html><html lang="en"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title><style>
  main { max-width: 30rem; } .wide { width: 800px; } input { display: block; }
  :root { color-scheme: light dark; }
  @media (prefers-color-scheme: dark) { body { background: #000; color: #fff; } }
</style><main><h1>Words</h1>
<noscript>Without scripts</noscript>
<form action="/done"><label>Name <input name="name" value="old"></label>
<label for="kind">Kind</label> <select id="kind" name="kind"><option>first</option><option value="2">the second</option></select>
<label><input type="checkbox" name="sure"> Sure</label>
<button>Send</button></form>
<p><a href="/wide">Wide</a> <a href="/later">Later</a> <a href="/faults">Faults</a></p></main></html>"#;
/// Says something after a while.
const LATER: &str = r#"<!doctype html><html lang="en"><title>Later</title><main><h1>Wait</h1><button disabled>Go</button></main><script nonce="ours">
  setTimeout(() => { document.querySelector("h1").textContent = "Here"; document.querySelector("button").disabled = false; }, 300);
  document.querySelector("button").onclick = () => { document.querySelector("h1").textContent = "Gone"; };
</script></html>"#;
/// A picture without words, a script that throws and one that the policy forbids.
const FAULTS: &str = r#"<!doctype html><html lang="en"><title>Faults</title><main><h1>Faults</h1><img src="data:,"></main>
<script>document.title = "run";</script><script nonce="ours">throw new Error("oh no");</script></html>"#;

/// Shows its pages under a strict policy.
async fn server() -> Receiver {
    let receiver = Receiver::start().await.expect("a port");
    let page = |html: String| {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-ours'";
        Answer::new(200)
            .header("content-type", "text/html; charset=utf-8")
            .header("content-security-policy", policy)
            .header("set-cookie", "seen=yes; Path=/; HttpOnly; SameSite=Strict")
            .body(html)
    };
    let wide = PAGE.replace("<main>", "<main class='wide'>").replace("30rem", "none");
    receiver.on("/", page(PAGE.to_owned()));
    receiver.on("/later", page(LATER.to_owned()));
    receiver.on("/faults", page(FAULTS.to_owned()));
    receiver.on("/wide", page(wide));
    receiver.on_others(Behaviour::choose(move |sent| {
        let html = format!("<!doctype html><title>Done</title><p>{}</p>", sent.uri);
        page(html).into()
    }));
    receiver
}

/// A browser that shows the first page, and its server.
async fn open(settings: BrowserSettings) -> (Browser, Receiver) {
    let (browser, server) = (Browser::start(settings).await.expect("it starts"), server().await);
    browser.open(&server.url("/")).await;
    (browser, server)
}

/// The command lines of processes that name this.
fn processes_with(word: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let commands = processes
        .filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok())
        .map(|command| command.replace('\0', " "));
    commands.filter(|command| command.contains(word)).collect()
}

#[tokio::test]
async fn browser_does_what_people_do() {
    let (browser, _server) = open(BrowserSettings::default()).await;
    assert_eq!((browser.status().await, browser.title().await.as_str()), (200, "A page"));
    browser.fill("Name", "new & shiny").await;
    browser.choose("Kind", "the second").await;
    browser.tick("Sure").await;
    browser.press("Send").await;
    browser.wait_for_text("/done?name=new+%26+shiny&kind=2&sure=on").await;

    browser.back().await;
    browser.follow("Later").await;
    // It can't be pressed yet.
    browser.wait_for_text("Here").await;
    browser.press("Go").await;
    browser.wait_for_no_text("Here").await;
    assert_eq!(browser.text_of("h1").await, "Gone");
    assert_eq!(browser.console_errors().await, [""; 0]);

    browser.reload().await;
    assert!(browser.has_text("Wait").await);
    let cookies = browser.cookies().await;
    assert!(cookies[0].is_http_only && cookies[0].same_site == "Strict", "{cookies:?}");
    assert_eq!((cookies[0].name.as_str(), cookies[0].value.as_str()), ("seen", "yes"));
    browser.forget_cookies().await;
    assert!(browser.cookies().await.is_empty());
}

#[tokio::test]
async fn keys_move_the_focus_and_send_the_form() {
    let (browser, _server) = open(BrowserSettings::default()).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        browser.key(Key::Tab).await;
        seen.push(browser.focused().await);
    }
    assert_eq!(seen, ["Name", "Kind", "Sure", "Send"]);
    browser.key(Key::BackTab).await;
    browser.key(Key::Space).await;
    browser.key(Key::BackTab).await;
    browser.key(Key::Down).await;
    browser.key(Key::Tab).await;
    browser.key(Key::Tab).await;
    browser.key(Key::Enter).await;
    browser.wait_for_text("name=old&kind=2&sure=on").await;
}

#[tokio::test]
async fn window_colours_time_zone_and_scripts_are_as_told() {
    let settings = BrowserSettings {
        window: Window::Phone,
        scheme: Scheme::Dark,
        script: Script::Off,
        time_zone: Some("Asia/Tokyo"),
    };
    let (browser, _server) = open(settings).await;
    for _ in 0..2 {
        let seen = "return [innerWidth, getComputedStyle(document.body).backgroundColor, \
            Intl.DateTimeFormat().resolvedOptions().timeZone, navigator.maxTouchPoints > 0];";
        let seen = browser.run_script(seen).await.to_string();
        assert_eq!(seen, r#"[390,"rgb(0, 0, 0)","Asia/Tokyo",true]"#);
        assert!(browser.has_text("Without scripts").await);
        assert_eq!(browser.overflow().await, [""; 0]);
        browser.assert_accessible().await;
        // All of it outlives a page.
        browser.reload().await;
    }
    browser.follow("Wide").await;
    let overflow = browser.overflow().await;
    assert!(overflow.contains(&"main.wide".to_owned()), "{overflow:?}");
    browser.back().await;
    browser.follow("Later").await;
    assert!(browser.text_of("button:disabled").await.contains("Go"));

    let (browser, _server) =
        open(BrowserSettings { window: Window::Width(720), ..Default::default() }).await;
    let seen = "return [innerWidth, devicePixelRatio, new Date(0).getHours()];";
    assert_eq!(browser.run_script(seen).await.to_string(), "[720,1,0]");
    assert!(!browser.has_text("Without scripts").await);
}

#[tokio::test]
async fn faults_of_a_page_are_seen_under_a_strict_policy_too() {
    let (browser, _server) = open(BrowserSettings::default()).await;
    browser.assert_accessible().await;
    browser.follow("Faults").await;
    assert_eq!(browser.title().await, "Faults");
    let errors = browser.console_errors().await;
    let said = |words: &str| errors.iter().any(|error| error.contains(words));
    assert!(said("oh no") && said("Content Security Policy"), "{errors:?}");
    assert_eq!(browser.console_errors().await, [""; 0], "each once");

    let found = browser.axe().await;
    let picture = found.iter().find(|violation| violation.rule == "image-alt");
    let Some(Violation { impact: Impact::Critical, help, elements, .. }) = picture else {
        panic!("{found:?}");
    };
    assert!(help.contains("alternative text") && elements[0].starts_with("img: "), "{found:?}");
}

#[tokio::test]
async fn picture_shows_the_window_or_the_whole_page() {
    let directory = tempfile::tempdir().expect("there is room");
    let (browser, _server) = open(BrowserSettings::default()).await;
    browser.run_script("document.body.style.height = '2000px';").await;
    let size = |file: &Path| {
        let png = fs::read(file).expect("it is written");
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four"));
        (number(16), number(20))
    };
    let file = directory.path().join("page.png");
    browser.screenshot(&file, Extent::Window).await;
    assert_eq!(size(&file), (1280, 900));
    browser.screenshot(&file, Extent::Top(300)).await;
    assert_eq!(size(&file), (1280, 300));
    browser.screenshot(&file, Extent::Page).await;
    let (width, height) = size(&file);
    assert!(width == 1280 && height > 2000, "{width} × {height}");
}

#[tokio::test]
async fn nothing_of_it_is_left() {
    let (browser, _server) = open(BrowserSettings::default()).await;
    let directory = browser.directory().to_owned();
    let name = directory.to_string_lossy().into_owned();
    assert!(processes_with(&name).len() > 2, "chromium has several processes");
    drop(browser);
    assert_eq!(processes_with(&name), [""; 0]);
    assert!(!directory.exists());
}
