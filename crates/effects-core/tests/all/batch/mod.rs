//! Many runs at once, in a scripted world on a virtual clock.

mod following;
mod joining;
mod money;
mod outage;
mod properties;
mod turns;
mod widths;
mod world;
