//! The registry of real servers: registered, looked up, asked how they are, and found by DNS.

use super::cluster::{Cluster, PATIENCE, free_address};
use super::tools::installed;
use hyper::Method;
use serde_json::{Value, json};
use splitbrain_protocols::discovery::dns::{Query, RecordKind, Response};
use splitbrain_server::request::{Answer, Connection};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

const RAFT: &str =
    "election_ms_min = 400\nelection_ms_max = 800\nheartbeat_ms = 100\nclient_try_ms = 1000\n";

async fn started() -> Cluster {
    let mut cluster = Cluster::new(3, RAFT);
    for index in 0..3 {
        cluster.start(index);
    }
    for index in 0..3 {
        cluster.caught_up(index).await;
    }
    cluster
}

async fn ask(cluster: &Cluster, index: usize, method: Method, path: &str, body: Value) -> Answer {
    let server = cluster.http()[index].clone();
    let mut connection = Connection::to(&server).await.expect("it listens");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let path = format!("/v1/services{path}");
    let answered = timeout(PATIENCE, connection.ask(method, &path, body)).await;
    answered.expect("in time").expect("an answer")
}

async fn put(cluster: &Cluster, index: usize, path: &str, body: Value) -> u16 {
    ask(cluster, index, Method::PUT, path, body).await.status
}

/// What a look-up says.
async fn get(cluster: &Cluster, index: usize, path: &str) -> Value {
    let answer = ask(cluster, index, Method::GET, path, Value::Null).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// The ids and statuses of the instances that a look-up shows.
fn shown(found: &Value) -> Vec<(&str, &str)> {
    let instances = found["instances"].as_array().expect("instances");
    instances
        .iter()
        .map(|instance| {
            let text = |name: &str| instance[name].as_str().expect("a text");
            (text("id"), text("status"))
        })
        .collect()
}

/// Waits until a look-up shows these.
async fn becomes(cluster: &Cluster, index: usize, path: &str, expected: &[(&str, &str)]) {
    let since = Instant::now();
    loop {
        let found = get(cluster, index, path).await;
        if shown(&found) == expected {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{found}, and not {expected:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_come_say_that_they_live_and_go() {
    let mut cluster = started().await;
    let heartbeats = json!({"address": "10.0.0.1", "port": 80, "tags": ["blue"], "check": {"ttl": {"ttl_ms": 4000}}});
    assert_eq!(
        put(&cluster, 0, "/web/web-1", heartbeats.clone()).await,
        200
    );
    let lasting =
        json!({"address": "10.0.0.2", "port": 81, "metadata": {"zone": "a"}, "weight": 3});
    assert_eq!(put(&cluster, 1, "/web/web-2", lasting.clone()).await, 200);
    let found = get(&cluster, 2, "/web").await;
    assert_eq!(shown(&found), [("web-1", "passing"), ("web-2", "passing")]);
    let second = json!({"service": "web", "id": "web-2", "address": "10.0.0.2", "port": 81,
                        "metadata": {"zone": "a"}, "weight": 3, "status": "passing"});
    assert_eq!(found["instances"][1], second);
    assert_eq!(shown(&get(&cluster, 0, "/web?tag=blue").await).len(), 1);
    assert_eq!(get(&cluster, 1, "").await["services"], json!({"web": 2}));

    // Who waits is told of the next change, and not before.
    let revision = found["revision"].as_u64().unwrap();
    let waiting = format!("/web?after={revision}&wait_ms=30000");
    let since = Instant::now();
    let (changed, ()) = tokio::join!(get(&cluster, 2, &waiting), async {
        sleep(Duration::from_millis(300)).await;
        assert_eq!(
            put(&cluster, 0, "/web/web-2/maintenance", Value::Null).await,
            204
        );
    });
    assert!((300..20_000).contains(&since.elapsed().as_millis()));
    assert!(changed["revision"].as_u64().unwrap() > revision);
    assert_eq!(shown(&changed)[1], ("web-2", "maintenance"));
    assert_eq!(shown(&get(&cluster, 1, "/web?passing=true").await).len(), 1);
    // When nothing changes, the time is up.
    let revision = changed["revision"].as_u64().unwrap();
    let same = get(&cluster, 1, &format!("/mail?after={revision}&wait_ms=200")).await;
    assert!(shown(&same).is_empty());
    let ended = ask(
        &cluster,
        1,
        Method::DELETE,
        "/web/web-2/maintenance",
        Value::Null,
    )
    .await;
    assert_eq!(ended.status, 204);

    // As long as it says that it lives, it does, whoever leads; when it is silent, it goes.
    let beat = |cluster: &Cluster, index: usize, how: &str| {
        let path = format!("/web/web-1/heartbeat{how}");
        let server = cluster.http()[index].clone();
        async move {
            let mut connection = Connection::to(&server).await.expect("it listens");
            let path = format!("/v1/services{path}");
            let answer = connection.ask(Method::POST, &path, String::new()).await;
            answer.expect("an answer").status
        }
    };
    let leader = cluster.status(0).await.unwrap()["leader"].clone();
    let leader = (0..3)
        .find(|index| leader == format!("n{}", index + 1))
        .expect("a leader");
    cluster.kill(leader);
    let other = (leader + 1) % 3;
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(6) {
        assert_eq!(
            beat(&cluster, other, "").await,
            204,
            "{:?}",
            since.elapsed()
        );
        sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(beat(&cluster, other, "?status=warning").await, 204);
    becomes(&cluster, other, "/web?tag=blue", &[("web-1", "warning")]).await;
    becomes(&cluster, other, "/web", &[("web-2", "passing")]).await;
    assert_eq!(beat(&cluster, other, "").await, 404);
    assert_eq!(put(&cluster, other, "/web/web-1", heartbeats).await, 200);
    cluster.start(leader);
    cluster.caught_up(leader).await;
    becomes(
        &cluster,
        leader,
        "/web?stale=true&passing=true",
        &[("web-1", "passing"), ("web-2", "passing")],
    )
    .await;

    for status in [204, 404] {
        let gone = ask(&cluster, leader, Method::DELETE, "/web/web-2", Value::Null).await;
        assert_eq!(gone.status, status, "{}", gone.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_no_instance_is_refused_with_a_sentence() {
    let mut cluster = Cluster::new(1, "");
    cluster.start(0);
    cluster.caught_up(0).await;
    let sound = json!({"address": "10.0.0.2", "port": 1});
    for (path, body) in [
        ("/web/web-3", json!({"address": "10.0.0.2"})),
        ("/web/web-3", json!({"address": "10.0.0.2", "port": 0})),
        ("/web/Web-3", sound),
        (
            "/web/web-3",
            json!({"address": "10.0.0.2", "port": 1, "check": {"ttl": {"ttl_ms": 0}}}),
        ),
        (
            "/web/web-3",
            json!({"address": "10.0.0.2", "port": 1, "check": {"tcp": {"probe": {"rise": 0}}}}),
        ),
        (
            "/web/web-3",
            json!({"address": "10.0.0.2", "port": 1, "check": {"http": {"path": "no path"}}}),
        ),
        (
            "/web/web-3",
            json!({"address": "10.0.0.2", "port": 1, "metadata": {"status": "passing"}}),
        ),
        (
            "/web/web-3",
            json!({"address": "10.0.0.2", "port": 1, "ttl": 5}),
        ),
    ] {
        let refused = ask(&cluster, 0, Method::PUT, path, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.body);
        assert!(refused.body.contains("error"), "{}", refused.body);
    }
    let refused = ask(&cluster, 0, Method::GET, "/web?wait_ms=5", Value::Null).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

/// Answers every request with the status that it is told.
async fn page(status: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind(free_address()).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("somebody asks");
            let mut request = [0; 1000];
            let _ = stream.read(&mut request).await;
            let status = status.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} so\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

/// Whoever leads connects to instances, and writes down how they are; who is not there for long is removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_asks_instances_how_they_are() {
    let mut cluster = started().await;
    let status = Arc::new(AtomicU16::new(500));
    let port = page(status.clone()).await;
    let probe = json!({"interval_ms": 200, "timeout_ms": 200, "rise": 1, "fall": 2});
    let check = json!({"http": {"path": "/health", "probe": probe}});
    let asked = json!({"address": "127.0.0.2", "port": port, "check": check});
    assert_eq!(put(&cluster, 0, "/web/page", asked).await, 200);
    let listener = TcpListener::bind(free_address()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let check = json!({"tcp": {"probe": probe, "deregister_after_ms": 1500}});
    let connected = json!({"address": "127.0.0.2", "port": port, "check": check});
    assert_eq!(put(&cluster, 0, "/web/port", connected).await, 200);
    becomes(
        &cluster,
        0,
        "/web",
        &[("page", "critical"), ("port", "passing")],
    )
    .await;
    status.store(204, Ordering::Relaxed);
    becomes(
        &cluster,
        1,
        "/web",
        &[("page", "passing"), ("port", "passing")],
    )
    .await;
    status.store(429, Ordering::Relaxed);
    becomes(
        &cluster,
        1,
        "/web?stale=true",
        &[("page", "warning"), ("port", "passing")],
    )
    .await;

    // Another one decides now.
    let leader = cluster.status(0).await.unwrap()["leader"].clone();
    let leader = (0..3)
        .find(|index| leader == format!("n{}", index + 1))
        .expect("a leader");
    cluster.kill(leader);
    let other = (leader + 1) % 3;
    drop(listener);
    becomes(&cluster, other, "/web", &[("page", "warning")]).await;
    status.store(200, Ordering::Relaxed);
    assert_eq!(
        put(&cluster, other, "/web/page/maintenance", Value::Null).await,
        204
    );
    sleep(Duration::from_secs(1)).await;
    becomes(&cluster, other, "/web", &[("page", "maintenance")]).await;
}

/// Sixty instances do not fit into a datagram: the answer says so, and all of them come over a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_answers_in_datagrams_and_over_connections() {
    let cluster = started().await;
    for nth in 0..60 {
        let instance = json!({"address": format!("10.0.1.{nth}"), "port": 8000 + nth});
        assert_eq!(
            put(&cluster, 0, &format!("/many/many-{nth}"), instance).await,
            200
        );
    }
    let few = json!({"address": "10.0.0.9", "port": 99, "tags": ["blue"]});
    assert_eq!(put(&cluster, 0, "/few/one", few).await, 200);
    becomes(&cluster, 1, "/few?stale=true", &[("one", "passing")]).await;
    let dns = cluster.dns(1);

    let query = |name: &str| Query::new(7, name, RecordKind::Srv, None).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut bytes = vec![0; 70_000];
    let mut by_datagram = async |query: &Query| {
        socket.send_to(query.as_bytes(), dns).await.unwrap();
        let length = timeout(PATIENCE, socket.recv(&mut bytes))
            .await
            .unwrap()
            .unwrap();
        (Response::parse(query, &bytes[..length]).unwrap(), length)
    };
    // What is no query gets no answer, and harms nobody.
    socket.send_to(b"dear diary", dns).await.unwrap();
    let (response, _) = by_datagram(&query("blue.few.service.splitbrain")).await;
    assert_eq!(response.sockets(), ["10.0.0.9:99".parse().unwrap()]);
    let many = query("many.service.splitbrain");
    let (response, length) = by_datagram(&many).await;
    assert!(response.truncated && length <= 512, "{length} bytes");

    let mut stream = TcpStream::connect(dns).await.unwrap();
    let framed = [
        &(many.as_bytes().len() as u16).to_be_bytes()[..],
        many.as_bytes(),
    ]
    .concat();
    // Two on one connection.
    for _ in 0..2 {
        stream.write_all(&framed).await.unwrap();
        let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut answer).await.unwrap();
        let response = Response::parse(&many, &answer).unwrap();
        assert!(!response.truncated);
        assert_eq!(response.sockets().len(), 60);
    }

    if !installed("dig", "-v", "bind9-dnsutils") {
        return;
    }
    let dig = |arguments: &[&str]| {
        let mut command = Command::new("dig");
        command
            .arg(format!("@{}", dns.ip()))
            .args(["-p", &dns.port().to_string(), "+short"]);
        let output = command.args(arguments).output().expect("dig runs");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(dig(&["few.service.splitbrain"]), "10.0.0.9\n");
    let srv = dig(&["_few._tcp.service.splitbrain", "SRV"]);
    assert_eq!(srv, "1 1 99 0a000009.addr.splitbrain.\n");
    assert_eq!(dig(&["0a000009.addr.splitbrain"]), "10.0.0.9\n");
    // It asks again over a connection by itself.
    assert_eq!(
        dig(&["many.service.splitbrain", "SRV", "+noedns"])
            .lines()
            .count(),
        60
    );
    assert_eq!(dig(&["nobody.service.splitbrain"]), "");
}
