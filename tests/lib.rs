//! Nothing: a package has to have a library or a program, and the tests are beside it, in `e2e/main.rs`.
