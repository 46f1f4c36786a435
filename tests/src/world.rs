//! [`ScenarioWorld`]: the scripted servers of one scenario on this machine: the gateway, which alone may
//! see the key, the host of the pictures, the host where redirects lead, and an address that refuses
//! connections until a test opens it to the gateway. Every [`Scenario`](crate::Scenario) starts its own,
//! and so do tests of the Rust clients, such as `tests/all/blocking_client.rs`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use bytes::Bytes;
use effects_testkit::http::{Behaviour, Response, ScriptedServer};
use socket2::{Domain, Socket, Type};

/// The key of every scenario: a text that stands nowhere else.
pub const KEY: &str = "sk-marker-6f1d0c";

/// The input picture of every scenario. No test fetches it.
pub const PHOTO_URL: &str = "https://photos.example.com/cat.jpg";

/// The task of every scenario.
pub const TASK: &str = "d758n65e878c73cmdg20";

/// The servers of one scenario, all on this machine.
#[derive(Debug)]
pub struct ScenarioWorld {
    /// The gateway, which alone may see the key.
    pub gateway: ScriptedServer,
    /// Where the pictures are.
    pub pictures: ScriptedServer,
    /// Where redirects lead.
    pub elsewhere: ScriptedServer,
    /// An address that refuses connections until [`open`](Self::open).
    pub closed: SocketAddr,
    /// Holds that address, so that no other program listens there: bound, but not listening.
    holder: Socket,
}

impl ScenarioWorld {
    /// Servers that know nothing yet, but for the picture.
    ///
    /// # Errors
    ///
    /// Whatever keeps this machine from listening on its loopback address.
    pub fn new() -> io::Result<Self> {
        let (holder, closed) = held_address()?;
        let world = Self {
            gateway: ScriptedServer::start()?,
            pictures: ScriptedServer::start()?,
            elsewhere: ScriptedServer::start()?,
            closed,
            holder,
        };
        // Once what a scenario scripts is over, the picture is there.
        world.pictures.otherwise(world.served());
        Ok(world)
    }

    /// What the gateway does with creates, one after the other.
    pub fn creates<B: Into<Behaviour>>(&self, behaviours: impl IntoIterator<Item = B>) {
        self.gateway.on("POST", "/model/v1/generation", behaviours);
    }

    /// What the gateway does with looks at the task, one after the other.
    pub fn looks<B: Into<Behaviour>>(&self, behaviours: impl IntoIterator<Item = B>) {
        self.gateway.on("GET", &task_path(TASK), behaviours);
    }

    /// What the host of the picture does, one request after the other; then it serves the picture.
    pub fn downloads<B: Into<Behaviour>>(&self, behaviours: impl IntoIterator<Item = B>) {
        self.pictures.on("GET", "/ball.png", behaviours);
    }

    /// The task, accepted.
    pub fn accepted(&self) -> Response {
        Response::json(format!(
            r#"{{"id":"{TASK}","created_at":1764000000,"status":"in_progress","model":"spark_img_effects"}}"#
        ))
    }

    /// The task, running.
    pub fn running(&self) -> Response {
        Response::json(format!(r#"{{"id":"{TASK}","status":"in_progress","progress":0.5}}"#))
    }

    /// The task, completed, as the service's page shows it.
    pub fn completed(&self) -> Response {
        Response::json(self.completed_with(&format!(
            r#""output":[{{"content":[{{"type":"image","url":"{}","size":{},"jobId":"job-1"}}]}}]"#,
            self.picture_url(),
            picture().len(),
        )))
    }

    /// The text of the task, completed, with these fields in place of its output.
    pub fn completed_with(&self, fields: &str) -> String {
        format!(
            r#"{{"id":"{TASK}","status":"completed","usage":{{"cost":"0.03","discount":1}},{fields}}}"#
        )
    }

    /// The URL of the picture.
    pub fn picture_url(&self) -> String {
        self.pictures.url("/ball.png")
    }

    /// The picture, as it should arrive.
    pub fn served(&self) -> Response {
        Response::new(200).header("Content-Type", "image/png").body(picture())
    }

    /// Lets connections to [`closed`](Self::closed) through to the gateway.
    ///
    /// # Errors
    ///
    /// Whatever keeps this machine from listening there.
    pub fn open(&self) -> io::Result<()> {
        // The socket that has the address begins to listen, so no other program gets it in between.
        self.holder.listen(128)?;
        let listener: TcpListener = self.holder.try_clone()?.into();
        let gateway = self.gateway.address();
        // Ends with the process of the test: nothing connects to it once the scenario is over.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The gateway is gone: the scenario is over.
                let Ok(there) = TcpStream::connect(gateway) else { return };
                let (Ok(mut from), Ok(mut to)) = (stream.try_clone(), there.try_clone()) else {
                    return;
                };
                // Each way on its own thread, since either side may be silent while the other sends.
                thread::spawn(move || io::copy(&mut from, &mut to));
                thread::spawn(move || io::copy(&mut &there, &mut &stream));
            }
        });
        Ok(())
    }
}

/// An address of this machine that is taken, and refuses connections while no program listens there.
fn held_address() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, address))
}

/// The path of a task.
pub fn task_path(task: &str) -> String {
    format!("/model/v1/generation/task/{task}")
}

/// A picture of 100,000 bytes, as far as its beginning and its end tell: longer than any buffer on its
/// way.
pub fn picture() -> Bytes {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let end = b"\0\0\0\0IEND\xaeB`\x82";
    // Pseudo-random, so that bytes which are lost, doubled or in the wrong place show.
    let mut state = 7_u64;
    while bytes.len() < 100_000 - end.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.push((state >> 56) as u8);
    }
    bytes.extend_from_slice(end);
    bytes.into()
}
