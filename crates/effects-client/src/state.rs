//! [`state_dir`]: the user's folder for what is kept between processes: the command's usual journal,
//! `PaceFile`, `StoredKey`s, and the task ids that a Postgres journal of the command or of Python could
//! not take. [`config_dir`]: the folder of `Profile`s. [`make_private_dir`] makes a folder for this user
//! alone.

use std::env;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

/// Where this user's state of Effects lives: `EFFECTS_STATE_DIR`, else `$XDG_STATE_HOME/effects`,
/// else `~/.local/state/effects`. Nothing is made or read.
///
/// An empty variable counts as unset, and so does an `XDG_STATE_HOME` that is not absolute, as its
/// specification asks. `None` where there is no home either.
pub fn state_dir() -> Option<PathBuf> {
    state_dir_of(|name| env::var_os(name), env::home_dir())
}

/// Where this user's settings of Effects are: `EFFECTS_CONFIG_DIR`, else `$XDG_CONFIG_HOME/effects`, else
/// `~/.config/effects`; by the rules of [`state_dir`].
pub fn config_dir() -> Option<PathBuf> {
    dir_of(&CONFIG, |name| env::var_os(name), env::home_dir())
}

/// Makes a folder, and those above it, for this user alone. One that is there stays as it is.
///
/// # Errors
///
/// What the system says.
pub fn make_private_dir(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn state_dir_of(
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    dir_of(&STATE, variable, home)
}

/// The variables that say where a folder is, and where it is below the home folder.
struct FolderVariables {
    own: &'static str,
    shared: &'static str,
    below_home: &'static str,
}

fn dir_of(
    variables: &FolderVariables,
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    // Shells and units set a variable to nothing in order to unset it.
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = folder(variables.own) {
        return Some(chosen);
    }
    // The XDG specification has relative paths ignored; they would mean another folder in each place that a
    // command is called from.
    let shared = folder(variables.shared).filter(|folder| folder.is_absolute());
    let shared = shared.or_else(|| {
        // A home of nothing would put the folder where the command is called from.
        home.filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(variables.below_home))
    })?;
    Some(shared.join("effects"))
}

const STATE: FolderVariables = FolderVariables {
    own: "EFFECTS_STATE_DIR",
    shared: "XDG_STATE_HOME",
    below_home: ".local/state",
};
const CONFIG: FolderVariables =
    FolderVariables { own: "EFFECTS_CONFIG_DIR", shared: "XDG_CONFIG_HOME", below_home: ".config" };

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)], home: Option<&str>) -> Option<String> {
        let variable = |name: &str| {
            variables.iter().find(|(given, _)| *given == name).map(|(_, value)| value.into())
        };
        let folder = state_dir_of(variable, home.map(PathBuf::from))?;
        Some(folder.to_string_lossy().into_owned())
    }

    #[test]
    fn the_folder_is_the_users_own_then_the_desktops_then_under_home() {
        let (own, shared) = (("EFFECTS_STATE_DIR", "mine"), ("XDG_STATE_HOME", "/state"));
        let home = Some("/home/me");
        for (variables, home, folder) in [
            (&[own, shared][..], home, Some("mine")),
            (&[shared], home, Some("/state/effects")),
            (&[("EFFECTS_STATE_DIR", ""), shared], None, Some("/state/effects")),
            (&[("XDG_STATE_HOME", "state")], home, Some("/home/me/.local/state/effects")),
            (&[("XDG_STATE_HOME", "")], home, Some("/home/me/.local/state/effects")),
            (&[], home, Some("/home/me/.local/state/effects")),
            (&[], Some(""), None),
            (&[], None, None),
        ] {
            assert_eq!(found(variables, home).as_deref(), folder, "{variables:?} {home:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_made_for_its_owner_alone_and_left_if_it_is_there() {
        use std::os::unix::fs::PermissionsExt;

        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("a/b");
        make_private_dir(&folder).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&temp.path().join("a"))), (0o700, 0o700));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        make_private_dir(&folder).unwrap();
        assert_eq!(mode(&folder), 0o755);
    }
}
