//! [`KeyringServer`]: a keyring of Linux desktops for tests, with its own session bus: a socket that speaks D-Bus as
//! far as the command needs it. `keyring.rs` starts it; no `dbus-daemon` is needed.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use dbus::Path;
use dbus::arg::{PropMap, RefArg, Variant};
use dbus::message::{Message, MessageType};
use dbus::strings::ErrorName;

/// A secret as it is sent: session, parameters, the secret itself, its type.
type SentSecret = (Path<'static>, Vec<u8>, Vec<u8>, String);

pub(crate) struct KeyringServer {
    address: String,
    folder: tempfile::TempDir,
    vault: Arc<Mutex<Vault>>,
}

/// What the keyring holds, and how it is.
#[derive(Default)]
pub(crate) struct Vault {
    pub(crate) items: Vec<VaultItem>,
    pub(crate) is_locked: bool,
    /// Whether the bus has no keyring.
    pub(crate) is_missing: bool,
    /// Whether a person who is asked says no.
    pub(crate) is_dismissed: bool,
    /// How often a person was asked.
    pub(crate) prompts: usize,
    /// How many programs connected.
    pub(crate) connections: usize,
}

#[derive(Clone)]
pub(crate) struct VaultItem {
    path: String,
    pub(crate) attributes: HashMap<String, String>,
    pub(crate) secret: Vec<u8>,
}

impl KeyringServer {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        let listener = UnixListener::bind(&socket).unwrap();
        let vault = Arc::new(Mutex::new(Vault::default()));
        let shared = Arc::clone(&vault);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, vault) = (stream.unwrap(), Arc::clone(&shared));
                vault.lock().unwrap().connections += 1;
                // A program may leave at any time.
                thread::spawn(move || drop(serve(stream, &vault)));
            }
        });
        let address = format!("unix:path={}", socket.display());
        Self { address, folder, vault }
    }

    /// For `DBUS_SESSION_BUS_ADDRESS`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The folder of the socket `bus`, for `XDG_RUNTIME_DIR`.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn vault(&self) -> MutexGuard<'_, Vault> {
        self.vault.lock().unwrap()
    }

    /// The secrets, as text.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let items = &self.vault().items;
        items.iter().map(|item| String::from_utf8(item.secret.clone()).unwrap()).collect()
    }
}

fn serve(mut stream: UnixStream, vault: &Mutex<Vault>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    authenticate(&mut reader, &mut stream)?;
    let mut serial = 0;
    loop {
        let call = read_message(&mut reader)?;
        if call.msg_type() != MessageType::MethodCall {
            continue;
        }
        for mut message in answer(&call, &mut vault.lock().unwrap()) {
            serial += 1;
            message.set_serial(serial);
            message.marshal(|bytes| stream.write_all(bytes))?;
        }
    }
}

/// The lines before the first message: who the program is, which every session bus knows by the socket.
fn authenticate(reader: &mut impl BufRead, stream: &mut impl Write) -> io::Result<()> {
    reader.read_exact(&mut [0])?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let answer = match line.split_whitespace().next() {
            Some("AUTH") => "OK 0123456789abcdef0123456789abcdef\r\n",
            Some("BEGIN") => return Ok(()),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(_) => "ERROR\r\n",
        };
        stream.write_all(answer.as_bytes())?;
    }
}

fn read_message(reader: &mut impl Read) -> io::Result<Message> {
    let mut bytes = vec![0; 16];
    reader.read_exact(&mut bytes)?;
    let length = Message::demarshal_bytes_needed(&bytes).unwrap();
    bytes.resize(length, 0);
    reader.read_exact(&mut bytes[16..])?;
    let mut message = Message::demarshal(&bytes).unwrap();
    message.set_sender(Some(":1.1".into()));
    Ok(message)
}

/// The answer to a call, and the signal after it.
fn answer(call: &Message, vault: &mut Vault) -> Vec<Message> {
    let member = call.member().unwrap().to_string();
    let object = call.path().unwrap().to_string();
    let done = call.method_return();
    let none = Path::new("/").unwrap();
    if call.interface().is_some_and(|name| &*name == "org.freedesktop.DBus") {
        return vec![if member == "Hello" { done.append1(":1.1") } else { done }];
    }
    if vault.is_missing {
        let name = ErrorName::new("org.freedesktop.DBus.Error.ServiceUnknown").unwrap();
        return vec![call.error(&name, c"no keyring is on this bus")];
    }
    let item = |vault: &Vault| vault.items.iter().position(|item| item.path == object).unwrap();
    vec![match member.as_str() {
        "OpenSession" => done.append2(Variant(String::new()), Path::new("/session").unwrap()),
        "ReadAlias" => done.append1(Path::new(COLLECTION).unwrap()),
        "Get" => done.append1(Variant(vault.is_locked)),
        "SearchItems" => {
            let wanted: HashMap<String, String> = call.read1().unwrap();
            let found = vault.items.iter().filter(|item| {
                wanted.iter().all(|(name, value)| item.attributes.get(name) == Some(value))
            });
            let found: Vec<_> = found.map(|item| Path::new(item.path.clone()).unwrap()).collect();
            match vault.is_locked {
                true => done.append2(Vec::<Path<'_>>::new(), found),
                false => done.append2(found, Vec::<Path<'_>>::new()),
            }
        }
        "Unlock" if vault.is_locked => {
            done.append2(Vec::<Path<'_>>::new(), Path::new(PROMPT).unwrap())
        }
        "Unlock" => done.append2(call.read1::<Vec<Path<'_>>>().unwrap(), none),
        "Prompt" => {
            vault.prompts += 1;
            vault.is_locked = vault.is_dismissed;
            let mut completed = Message::signal(
                &PROMPT.into(),
                &"org.freedesktop.Secret.Prompt".into(),
                &"Completed".into(),
            )
            .append2(vault.is_dismissed, Variant(Vec::<Path<'_>>::new()));
            completed.set_sender(Some(":1.2".into()));
            return vec![done, completed];
        }
        // What a keyring that is locked refuses, whatever the item.
        _ if vault.is_locked => {
            let name = ErrorName::new("org.freedesktop.Secret.Error.IsLocked").unwrap();
            call.error(&name, c"the keyring is locked")
        }
        "CreateItem" => {
            let (properties, sent, _) = call.read3::<PropMap, SentSecret, bool>().unwrap();
            let attributes = text_pairs(&properties["org.freedesktop.Secret.Item.Attributes"]);
            let path = format!("{COLLECTION}/{}", vault.items.len());
            vault.items.push(VaultItem { path: path.clone(), attributes, secret: sent.2 });
            done.append2(Path::new(path).unwrap(), none)
        }
        "GetSecret" => {
            let secret = vault.items[item(vault)].secret.clone();
            let session = Path::new("/session").unwrap();
            done.append1((session, Vec::<u8>::new(), secret, "text/plain"))
        }
        "SetSecret" => {
            let index = item(vault);
            vault.items[index].secret = call.read1::<SentSecret>().unwrap().2;
            done
        }
        "Delete" => {
            vault.items.remove(item(vault));
            done.append1(none)
        }
        other => panic!("this keyring does not know {other}"),
    }]
}

/// A dictionary of texts within a variant.
fn text_pairs(variant: &Variant<Box<dyn RefArg>>) -> HashMap<String, String> {
    let mut texts = variant.0.as_iter().unwrap().map(|text| text.as_str().unwrap().to_owned());
    let mut pairs = HashMap::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        pairs.insert(name, value);
    }
    pairs
}

const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";
const PROMPT: &str = "/org/freedesktop/secrets/prompt/1";
