//! Many runs at once, in a scripted world on a virtual clock.

mod admission;
mod joining;
mod limits;
mod money;
mod outage;
mod properties;
mod shared_polls;
mod world;
