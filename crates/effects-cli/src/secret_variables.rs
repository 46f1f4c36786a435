//! [`SECRET_VARIABLES`]: the environment variables of this command that hold secrets (the keys, the
//! webhook's secret, the database's password), and [`without_secrets`], which removes them from the
//! environment of a program that is started. `batch/hooks/program.rs` calls it for the `--on-done`
//! program, keeping those that `--pass-env` names (`batch/hooks/mod.rs` allows it these names only), and
//! `commands/emulator.rs` for the browser of `effects emulator --open`; `batch/hooks/webhook.rs` reads
//! [`WEBHOOK_SECRET`].
//!
//! Programs that need a secret, or may, keep the whole environment, and are started by `effects-client`: that of
//! `--api-key-command` prints the key, so nothing is kept from it that it is not trusted with anyway, and it may
//! read the key from a variable; one of `--uploads` may put photos where this very key is asked for.

use std::process::Command;

use effects_client::KEY_VARIABLES;

/// The variables whose values are secrets.
pub(crate) const SECRET_VARIABLES: [&str; 4] =
    [KEY_VARIABLES[0], KEY_VARIABLES[1], WEBHOOK_SECRET, DATABASE_PASSWORD];

/// The secret that posts to `--post-to` are signed with.
pub(crate) const WEBHOOK_SECRET: &str = "EFFECTS_WEBHOOK_SECRET";

/// The password of a journal's database, as `psql` reads it.
const DATABASE_PASSWORD: &str = "PGPASSWORD";

/// Keeps the secrets of this command's environment from a program, but for the variables of these names.
pub(crate) fn without_secrets(command: &mut Command, passed: &[String]) {
    for name in SECRET_VARIABLES {
        if passed.iter().all(|passed| passed != name) {
            command.env_remove(name);
        }
    }
}
