//! What is in `deploy/`: that those who read it can (schemas, parsers, the programs themselves), and that it says what
//! Ringback needs. Each check has a case in which it fails.

mod compose;
mod environment;
mod image;
mod kubernetes;
mod proxy;
mod support;
mod systemd;
