//! The distributed shape: `ringback ingest`, `worker` and `console` as processes of their own, on a RabbitMQ, a Redis
//! and a PostgreSQL that belong to the test alone, for it kills them.

mod async_api;
mod bad_settings;
mod broker_cluster;
mod catalog;
mod cloud_events;
mod cluster;
mod console;
mod doctor;
mod duplicates;
mod fan_out;
mod first_light;
mod isolation;
mod kill_matrix;
mod metrics;
mod monitoring;
mod moving;
mod producers;
mod rate_limit;
mod replay;
mod scheduled;
mod servers_away;
mod stand_in;
mod starting;
mod stopped_worker;
mod topology;
mod traces;
mod upgrading;
