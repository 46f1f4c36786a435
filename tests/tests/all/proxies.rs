//! Proxies of the environment: they carry what goes elsewhere and never catch this machine.
//!
//! The environment of a running process cannot be changed safely, so the test runs itself again in
//! another.

use std::env;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use effects_client::Proxy;
use effects_core::{EffectRequest, ErrorKind, Template};
use effects_jobs::Photo;
use effects_testkit::http::{Response, ScriptedServer};
use effects_tests::{ClientSetup, KEY, PHOTO_URL, ScenarioWorld, picture, setup};

#[test]
fn the_environments_proxy_never_catches_this_machine_and_carries_the_rest() {
    if env::var("EFFECTS_TEST_PROXIED").is_ok() {
        blocking();
        asynchronous();
        return;
    }
    let proxy = ScriptedServer::start().unwrap();
    // What a proxy carries fails, so no name of these tests has to exist.
    proxy.otherwise(Response::new(502));
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", "--nocapture"]);
    again.arg("proxies::the_environments_proxy_never_catches_this_machine_and_carries_the_rest");
    again.env("EFFECTS_TEST_PROXIED", "1");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    {
        again.env(name, proxy.base_url());
    }
    for name in ["no_proxy", "NO_PROXY", "REQUEST_METHOD"] {
        // Set in the environment of the tests, they would decide instead of what is tested.
        again.env_remove(name);
    }
    assert!(again.status().unwrap().success());

    let seen = proxy.requests();
    let about = |host: &str| seen.iter().filter(|seen| format!("{seen:?}").contains(host)).count();
    assert_eq!(about("127.0.0.1"), 0, "this machine is proxied: {seen:#?}");
    assert_eq!(about("localhost"), 0, "this machine is proxied: {seen:#?}");
    // Each client submits to one, downloads from another, and uploads to a third.
    for host in ["gateway.example.com", "pictures.example.com", "storage.example.com"] {
        assert!(about(host) >= 2, "{host} is not proxied: {seen:#?}");
    }
}

/// The rules are the same in both clients, and those of curl.
#[test]
fn what_no_proxy_names_goes_without_one_and_a_proxy_for_http_carries_no_https() {
    const VARIABLE: &str = "EFFECTS_TEST_NO_PROXY";
    if env::var(VARIABLE).is_ok() {
        let world = ScenarioWorld::new().unwrap();
        for base_url in [
            "http://carried.invalid",
            "http://host.invalid:81",
            "http://host.invalid:80",
            "http://api.domain.invalid",
            "https://secure.invalid",
        ] {
            let mut setup = setup_elsewhere(&world);
            setup.base_url = base_url.to_owned();
            let client = setup.builder::<effects_ureq::Client>().unwrap().build().unwrap();
            client.run(request()).unwrap_err();
            let client = setup.builder::<effects_reqwest::Client>().unwrap().build().unwrap();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(client.run(request())).unwrap_err();
        }
        return;
    }
    let proxy = ScriptedServer::start().unwrap();
    proxy.otherwise(Response::new(502));
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", "--nocapture"]);
    again
        .arg("proxies::what_no_proxy_names_goes_without_one_and_a_proxy_for_http_carries_no_https");
    for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"] {
        again.env_remove(name);
    }
    again.env_remove("REQUEST_METHOD").env(VARIABLE, "1").env("HTTP_PROXY", proxy.base_url());
    again.env("NO_PROXY", "example.com , host.invalid:81,.domain.invalid");
    assert!(again.status().unwrap().success());
    let seen = proxy.requests();
    let about = |host: &str| seen.iter().filter(|seen| format!("{seen:?}").contains(host)).count();
    assert!(about("carried.invalid") >= 2, "{seen:#?}");
    assert!(about("host.invalid") >= 2, "another port is another place: {seen:#?}");
    for host in ["host.invalid:81", "domain.invalid", "secure.invalid"] {
        assert_eq!(about(host), 0, "{host} is proxied: {seen:#?}");
    }
}

/// Neither HTTP library is built with SOCKS; ureq would then connect without the proxy.
#[test]
fn a_proxy_that_speaks_socks_is_never_gone_around() {
    const VARIABLE: &str = "EFFECTS_TEST_GATEWAY";
    if let Ok(base_url) = env::var(VARIABLE) {
        let mut setup = setup_elsewhere(&ScenarioWorld::new().unwrap());
        setup.base_url = base_url;
        let client = setup.builder::<effects_ureq::Client>().unwrap().build().unwrap();
        let blocking = client.run(request()).unwrap_err();
        let client = setup.builder::<effects_reqwest::Client>().unwrap().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asynchronous = runtime.block_on(client.run(request())).unwrap_err();
        for error in [blocking, asynchronous].map(|error| error.to_string()) {
            assert!(error.contains("never left this machine"), "{error}");
            assert!(error.contains("SOCKS"), "{error}");
        }
        return;
    }
    let gateway = ScriptedServer::start().unwrap();
    // A server of plain HTTP stands where the proxy should be: what reached it went
    // around the proxy.
    for scheme in ["socks4", "socks5", "socks5h"] {
        let mut again = Command::new(env::current_exe().unwrap());
        again.args([
            "--exact",
            "--nocapture",
            "proxies::a_proxy_that_speaks_socks_is_never_gone_around",
        ]);
        // This machine by an address that does not say so: nothing in between can be asked.
        again.env(VARIABLE, format!("http://0.0.0.0:{}", gateway.address().port()));
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"] {
            again.env_remove(name);
        }
        for name in ["no_proxy", "NO_PROXY", "REQUEST_METHOD"] {
            again.env_remove(name);
        }
        again.env("ALL_PROXY", format!("{scheme}://{}", gateway.address()));
        assert!(again.status().unwrap().success(), "{scheme}");
    }
    assert!(gateway.requests().is_empty(), "{:?}", gateway.requests());

    let proxy = || Proxy::Url("socks5://me:hunter2@127.0.0.1:1".to_owned());
    let blocking = effects_ureq::Client::builder().api_key(KEY).proxy(proxy()).build();
    let asynchronous = effects_reqwest::Client::builder().api_key(KEY).proxy(proxy()).build();
    for error in [blocking.map(drop).unwrap_err(), asynchronous.map(drop).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("SOCKS"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "a password is printed: {error}");
    }
}

/// Its answer is not the service's, and the way out is in the proxy's URL.
#[test]
fn a_proxy_that_wants_a_password_says_where_to_give_it() {
    let proxy = ScriptedServer::start().unwrap();
    proxy.otherwise(Response::new(407).header("proxy-authenticate", "Basic realm=\"studio\""));
    let world = ScenarioWorld::new().unwrap();
    // One is asked for a tunnel, the other passes the request on.
    for base_url in ["https://gateway.invalid", "http://gateway.invalid"] {
        let mut setup = setup_elsewhere(&world);
        setup.base_url = base_url.to_owned();
        let through = || Proxy::Url(proxy.base_url());
        let client = setup.builder::<effects_ureq::Client>().unwrap().proxy(through());
        let blocking = client.build().unwrap().run(request()).unwrap_err();
        let client = setup.builder::<effects_reqwest::Client>().unwrap().proxy(through());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asynchronous = runtime.block_on(client.build().unwrap().run(request())).unwrap_err();
        for error in [blocking, asynchronous].map(|error| error.to_string()) {
            for said in ["HTTP 407", "nothing is billed", "USER:PASSWORD@"] {
                assert!(error.contains(said), "{said:?} is missing: {error}");
            }
        }
    }
}

fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap()
}

fn photo() -> Photo {
    Photo::new(picture(), "photo.png").unwrap()
}

/// A task here with its picture here, and a photo presigned to this machine.
fn script_servers(world: &ScenarioWorld) {
    world.creates([world.completed()]);
    world.elsewhere.on("PUT", "/put", [Response::new(200)]);
}

/// A gateway somewhere else, whatever becomes of it.
fn setup_elsewhere(world: &ScenarioWorld) -> ClientSetup {
    let mut setup = setup(world);
    setup.base_url = "http://gateway.example.com".to_owned();
    setup.allow_http = true;
    setup.policy.wait_timeout = Duration::from_millis(50);
    setup
}

fn presigned(put: &str) -> Option<String> {
    Some(format!("presigned-put=printf {put}\\nhttps://files.example.com/photo.png\\n%.0s%.0s"))
}

/// A task that is completed, and whose picture is somewhere else.
fn picture_elsewhere(world: &ScenarioWorld) -> Response {
    let output = r#""output":[{"content":[{"url":"http://pictures.example.com/ball.png"}]}]"#;
    Response::json(world.completed_with(output))
}

fn blocking() {
    let world = ScenarioWorld::new().unwrap();
    script_servers(&world);
    world.creates([picture_elsewhere(&world)]);
    let make =
        |setup: &ClientSetup| setup.builder::<effects_ureq::Client>().unwrap().build().unwrap();

    let mut setup = setup(&world);
    setup.policy.wait_timeout = Duration::from_millis(300);
    setup.uploads = presigned("http://storage.example.com/put");
    let client = make(&setup);
    let effect = client.run(request()).unwrap();
    let fetched: Bytes = client.fetch(&effect.pictures[0]).unwrap();
    assert_eq!(fetched, picture());
    assert!(client.upload(&photo()).is_err());
    let effect = client.run(request()).unwrap();
    assert!(client.fetch(&effect.pictures[0]).is_err());

    let mut setup = setup_elsewhere(&world);
    setup.uploads = presigned(&world.elsewhere.url("/put"));
    let client = make(&setup);
    client.upload(&photo()).unwrap();
    assert!(client.run(request()).is_err());
}

fn asynchronous() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = ScenarioWorld::new().unwrap();
        script_servers(&world);
        world.creates([picture_elsewhere(&world)]);
        let make = |setup: &ClientSetup| {
            setup.builder::<effects_reqwest::Client>().unwrap().build().unwrap()
        };

        let mut setup = setup(&world);
        setup.policy.wait_timeout = Duration::from_millis(300);
        setup.uploads = presigned("http://storage.example.com/put");
        let client = make(&setup);
        let effect = client.run(request()).await.unwrap();
        let fetched: Bytes = client.fetch(&effect.pictures[0]).await.unwrap();
        assert_eq!(fetched, picture());
        assert!(client.upload(&photo()).await.is_err());
        let effect = client.run(request()).await.unwrap();
        assert!(client.fetch(&effect.pictures[0]).await.is_err());

        let mut setup = setup_elsewhere(&world);
        setup.uploads = presigned(&world.elsewhere.url("/put"));
        let client = make(&setup);
        client.upload(&photo()).await.unwrap();
        assert!(client.run(request()).await.is_err());
    });
}
