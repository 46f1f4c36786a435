//! What a completed run yields.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::raw::RawJson;
use crate::task::ServiceError;
use crate::task_id::TaskId;

/// A finished task: its pictures and its bill.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Effect {
    /// The task that made it.
    pub task_id: TaskId,
    /// The pictures; never empty, usually one.
    pub pictures: Vec<Picture>,
    /// What it cost, as far as the service said.
    pub usage: Usage,
    /// The service's own notes on the task.
    pub metadata: Option<RawJson>,
    /// An error the service reported beside a usable picture.
    pub warning: Option<ServiceError>,
    /// The whole answer, as the service wrote it.
    pub raw: RawJson,
}

/// One picture of an [`Effect`]: a link that expires.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Picture {
    /// The task that made it.
    pub task_id: TaskId,
    /// Where it is. The service does not say for how long: download it soon.
    pub url: String,
    /// Its length in bytes, if the service said.
    pub size: Option<u64>,
    /// The service's "remote job ID".
    pub job_id: Option<String>,
}

/// What a task cost.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// "Total cost in USD" (the service's page), exact to the digit; `None` if it was not said.
    pub cost: Option<Decimal>,
    /// "Discount amount" (the service's page). Its clients' tests read like a factor with 1 for
    /// none; nobody has shown which it is.
    pub discount: Option<Decimal>,
}
