//! What pages load: one style sheet, one script, one picture.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::ROOT;

/// A file that is part of the binary.
pub(super) struct Asset {
    /// Below [`ROOT`].
    pub(super) path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

pub(super) static STYLE: Asset = Asset {
    path: "/style.css",
    media_type: "text/css; charset=utf-8",
    text: concat!(include_str!("assets/style.css"), include_str!("assets/forms.css")),
};
pub(super) static SCRIPT: Asset = Asset {
    path: "/script.js",
    media_type: "text/javascript; charset=utf-8",
    text: include_str!("assets/script.js"),
};
pub(super) static ICON: Asset =
    Asset { path: "/icon.svg", media_type: "image/svg+xml", text: include_str!("assets/icon.svg") };

/// Where each is, with a mark of its content: it may be kept for good, and a new version is another address.
pub(super) static STYLE_URL: LazyLock<String> = LazyLock::new(|| STYLE.url());
pub(super) static SCRIPT_URL: LazyLock<String> = LazyLock::new(|| SCRIPT.url());
pub(super) static ICON_URL: LazyLock<String> = LazyLock::new(|| ICON.url());

impl Asset {
    fn url(&self) -> String {
        format!("{ROOT}{}?{}", self.path, self.mark())
    }

    fn mark(&self) -> String {
        URL_SAFE_NO_PAD.encode(&Sha256::digest(self.text)[..9])
    }

    /// During an upgrade a page of one version may ask a process of another: what that one has is not what is meant, and
    /// must not be kept for it.
    fn answer(&self, asked: Option<&str>) -> Response {
        let kept = match asked == Some(&*self.mark()) {
            true => "public, max-age=31536000, immutable",
            false => "no-store",
        };
        let headers = [(header::CONTENT_TYPE, self.media_type), (header::CACHE_CONTROL, kept)];
        (headers, self.text).into_response()
    }
}

pub(super) async fn style(RawQuery(asked): RawQuery) -> Response {
    STYLE.answer(asked.as_deref())
}

pub(super) async fn script(RawQuery(asked): RawQuery) -> Response {
    SCRIPT.answer(asked.as_deref())
}

pub(super) async fn icon(RawQuery(asked): RawQuery) -> Response {
    ICON.answer(asked.as_deref())
}
