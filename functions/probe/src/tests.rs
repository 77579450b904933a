//! Whole probes, from the event to the answer, against servers on the loopback address.

use migration::fake::{FakeRoute53, Fault};
use migration::input::Scheme;
use migration::record;
use rustls::HandshakeKind;
use serde_json::{Value, json};

use super::*;
use crate::server::{Authority, Reply, Server};
use crate::target::Target;

const ZONE: &str = include_str!("../../../tests/zone-blueprint.json");
const ZONE_ID: &str = "Z0EKSBLUEPRINT";
const BURNHAM: &str = "burnham.eks-blueprint.example.com";
const BURNHAM_TARGET: &str =
    "dualstack.k8s-burnham-green00000001-506952114.eu-west-3.elb.amazonaws.com";

fn zone() -> FakeRoute53 {
    FakeRoute53::from_cli_json(ZONE_ID, ZONE)
}

/// The zone with other values in the records of one name.
fn zone_with(name: &str, new_values: &[&str]) -> FakeRoute53 {
    let route53 = zone();
    route53.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.name.as_str() == name
                && let record::Answer::Values { values, .. } = &mut record_set.answer
            {
                *values = new_values.iter().map(|value| (*value).to_owned()).collect();
            }
        }
    });
    route53
}

/// The event for `names`, one attempt each; `probe` overrides the defaults.
fn event(names: &[&str], probe: &Value) -> Value {
    let mut whole = json!({"attempts": 1, "successes": 1});
    for (key, value) in probe.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({"migration": {
        "hostedZoneId": ZONE_ID,
        "from": "eks-blueprint-blue",
        "to": "eks-blueprint-green",
        "names": {"zone": "eks-blueprint.example.com", "relative": names.iter().map(|name| format!("{name}.")).collect::<Vec<_>>()},
        "startPercent": 0,
        "adopted": [],
        "steps": [],
        "freeSum": 100,
        "maxBakeSeconds": 3600,
        "checkSeconds": 60,
        "failureThreshold": 1,
        "ttlFactor": 1.0,
        "readyTimeoutSeconds": 1800,
        "approvalTimeoutSeconds": 86400,
        "probe": whole,
        "alarms": {},
        "externalDns": {"mode": "lease", "from": {"txtPrefix": "", "txtSuffix": "", "txtWildcardReplacement": ""}, "to": {"txtPrefix": "", "txtSuffix": "", "txtWildcardReplacement": ""}},
        "onFailure": "rollback",
        "onRefusal": "rollback",
        "onDrift": "hold",
        "dryRun": false,
    }})
}

async fn ask(names: &[&str], probe: Value, prober: &Prober) -> Answer {
    handle(&event(names, &probe), &zone(), prober)
        .await
        .unwrap()
}

async fn ask_http(server: &Server, mut probe: Value) -> Answer {
    probe["scheme"] = "http".into();
    let prober = Prober::new(&server.connect_to(), "").unwrap();
    ask(&[BURNHAM], probe, &prober).await
}

#[track_caller]
fn check_failure(answer: &Answer, phase: Phase, problem: &str) {
    assert_eq!(answer.verdict, Verdict::Fail);
    let [failure] = answer.failures.as_slice() else {
        panic!("{answer:?}");
    };
    assert_eq!(failure.phase, phase, "{}", failure.problem);
    assert!(failure.problem.contains(problem), "{}", failure.problem);
}

#[tokio::test]
async fn a_healthy_name_passes_and_its_name_is_what_the_server_sees() {
    let authority = Authority::new("ours");
    let server = Server::start(
        Some(authority.issue(BURNHAM)),
        &[Reply::with_body("200 OK", "served by eks-blueprint-green")],
    )
    .await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    let probe = json!({"path": "/healthz?deep=1", "expectedBody": "eks-blueprint-green"});
    let answer = ask(&[BURNHAM], probe, &prober).await;
    assert_eq!(
        serde_json::to_value(&answer).unwrap(),
        json!({
            "verdict": "pass",
            "reason": "1 of 1 names are healthy on eks-blueprint-green",
            "healthy": 1,
            "names": 1,
            "failures": [],
        })
    );
    let [seen] = &server.seen()[..] else {
        panic!("not one request");
    };
    assert_eq!(seen.server_name.as_deref(), Some(BURNHAM));
    assert!(seen.head.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"));
    assert!(seen.head.contains(&format!("host: {BURNHAM}\r\n")));
}

#[tokio::test]
async fn a_wildcard_is_asked_by_a_label_below_it() {
    let authority = Authority::new("ours");
    let server = Server::start(
        Some(authority.issue("*.apps.eks-blueprint.example.com")),
        &[Reply::status("204 No Content")],
    )
    .await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    let names = ["\\052.apps.eks-blueprint.example.com"];
    let answer = ask(&names, json!({"wildcardLabel": "any"}), &prober).await;
    assert_eq!(answer.verdict, Verdict::Pass);
    assert_eq!(
        server.seen()[0].server_name.as_deref(),
        Some("any.apps.eks-blueprint.example.com")
    );
}

#[tokio::test]
async fn every_certificate_that_clients_refuse_fails() {
    let authority = Authority::new("ours");
    for (config, problem) in [
        (
            authority.issue("argocd.eks-blueprint.example.com"),
            "not valid for name",
        ),
        (authority.issue_expired(BURNHAM), "expired"),
        (Authority::new("another").issue(BURNHAM), "UnknownIssuer"),
    ] {
        let server = Server::start(Some(config), &[Reply::status("200 OK")]).await;
        let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
        let answer = ask(&[BURNHAM], json!({}), &prober).await;
        check_failure(&answer, Phase::Tls, problem);
        assert!(server.seen().is_empty());
        let answer = ask(&[BURNHAM], json!({"verifyCertificate": false}), &prober).await;
        assert_eq!(answer.verdict, Verdict::Pass);
    }
}

#[tokio::test]
async fn a_certificate_is_verified_afresh_each_time() {
    let authority = Authority::new("ours");
    let server = Server::start(Some(authority.issue(BURNHAM)), &[Reply::status("200 OK")]).await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    for verify in [true, false] {
        let probe = json!({"attempts": 3, "successes": 3, "verifyCertificate": verify});
        assert_eq!(ask(&[BURNHAM], probe, &prober).await.verdict, Verdict::Pass);
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 6);
    for seen in seen {
        assert_ne!(seen.handshake, None);
        assert_ne!(seen.handshake, Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn a_failure_says_what_where_and_how() {
    let server = Server::start(None, &[Reply::status("503 Service Unavailable")]).await;
    let answer = ask_http(&server, json!({})).await;
    let address = server.address;
    assert_eq!(
        serde_json::to_value(&answer).unwrap(),
        json!({
            "verdict": "fail",
            "reason": format!(
                "1 of 1 names are not healthy on eks-blueprint-green: {BURNHAM} at {address} (HTTP): \
                 the answer has status 503, expected 200-399"
            ),
            "healthy": 0,
            "names": 1,
            "failures": [{
                "name": BURNHAM,
                "target": BURNHAM_TARGET,
                "address": address.to_string(),
                "phase": "HTTP",
                "problem": "the answer has status 503, expected 200-399",
            }],
        })
    );
}

#[tokio::test]
async fn the_wrong_body_fails_and_is_not_repeated() {
    let server = Server::start(None, &[Reply::with_body("200 OK", "secret of blue")]).await;
    let answer = ask_http(&server, json!({"expectedBody": "green"})).await;
    check_failure(
        &answer,
        Phase::Http,
        "the body does not contain the expected text \"green\" in its first 14 bytes",
    );
    assert!(!format!("{answer:?}").contains("secret"));
    // Any body contains the empty text.
    let answer = ask_http(&server, json!({"expectedBody": ""})).await;
    assert_eq!(answer.verdict, Verdict::Pass);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let server = Server::start(None, &[Reply::status("301 Moved Permanently")]).await;
    assert_eq!(ask_http(&server, json!({})).await.verdict, Verdict::Pass);
    let answer = ask_http(&server, json!({"expectedStatus": "200"})).await;
    check_failure(&answer, Phase::Http, "status 301");
    assert_eq!(server.seen().len(), 2, "none was followed");
}

#[tokio::test]
async fn an_endless_answer_is_read_to_a_limit() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let server = Server::start(None, &[Reply::Endless(head, "forever and ")]).await;
    let answer = ask_http(&server, json!({"expectedBody": "ever after"})).await;
    check_failure(&answer, Phase::Http, "in its first 65536 bytes");
    let answer = ask_http(&server, json!({"expectedBody": "forever"})).await;
    assert_eq!(answer.verdict, Verdict::Pass);
    let head = "HTTP/1.1 200 OK\r\nX-Endless: ";
    for (head, tail) in [(head, "forever and "), (head, "x\r\nX-More: ")] {
        let server = Server::start(None, &[Reply::Endless(head, tail)]).await;
        let answer = ask_http(&server, json!({})).await;
        check_failure(&answer, Phase::Http, "message head is too large");
    }
}

#[tokio::test]
async fn garbage_is_a_failure() {
    for garbage in [
        "",
        "\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ngreen, but too short",
        "\0\u{7f}\u{80}\u{10ffff}",
    ] {
        let server = Server::start(None, &[Reply::Text(garbage.to_owned())]).await;
        let answer = ask_http(&server, json!({"expectedBody": "green"})).await;
        check_failure(&answer, Phase::Http, "");
        assert!(!answer.reason.contains("OpenSSH"), "{}", answer.reason);
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_or_refused_is_a_failure() {
    let authority = Authority::new("ours");
    let server = Server::start(Some(authority.issue(BURNHAM)), &[Reply::Close]).await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    let answer = ask(&[BURNHAM], json!({}), &prober).await;
    check_failure(&answer, Phase::Tls, "");
    let answer = ask_http(&server, json!({})).await;
    check_failure(&answer, Phase::Http, "");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let prober = Prober::new(&format!("*={closed}"), "").unwrap();
    let answer = ask(&[BURNHAM], json!({}), &prober).await;
    check_failure(&answer, Phase::Connect, "refused");
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_no_more_than_the_timeout() {
    let server = Server::start(None, &[Reply::Silence]).await;
    let prober = Prober::new(&server.connect_to(), "").unwrap();
    let targets = [Target::Address(server.address.ip())].into();
    for (scheme, phase) in [(Scheme::Http, Phase::Http), (Scheme::Https, Phase::Tls)] {
        let question = Question {
            host: BURNHAM,
            targets: &targets,
            probe: &Probe {
                scheme,
                ..Probe::default()
            },
            timeout: Duration::from_millis(100),
        };
        let problem = prober.attempt(&question, 0).await.unwrap_err();
        assert_eq!(problem.phase, phase);
        assert_eq!(problem.text, "timed out after 100ms");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_finished_at_the_deadline_is_inconclusive() {
    let silent = Server::start(None, &[Reply::Silence]).await;
    let probe = json!({"deadlineSeconds": 30, "attemptTimeoutSeconds": 60});
    let answer = ask_http(&silent, probe).await;
    assert_eq!(
        (answer.verdict, answer.healthy, answer.names),
        (Verdict::Inconclusive, 0, 1)
    );
    assert_eq!(
        answer.reason,
        "1 of 1 names could not be probed on eks-blueprint-green within 30 seconds; the others are healthy"
    );
    assert_eq!(answer.failures, []);
}

#[test]
fn a_failure_outweighs_what_is_not_finished() {
    let names = [
        BURNHAM,
        "argocd.eks-blueprint.example.com",
        "late.eks-blueprint.example.com",
    ];
    let Request { migration } = from_json(&event(&names, &json!({}))).unwrap();
    let problem = Problem {
        phase: Phase::Connect,
        target: None,
        address: None,
        text: "connection refused".into(),
    };
    let failure = Failure::new(&migration.names[0], problem);
    let both = answer(vec![Ok(()), Err(failure)], &migration);
    assert_eq!((both.verdict, both.healthy), (Verdict::Fail, 1));
    let neither = answer(vec![Ok(()), Ok(())], &migration);
    assert_eq!(
        (neither.verdict, neither.healthy),
        (Verdict::Inconclusive, 2)
    );
}

#[tokio::test]
async fn so_many_attempts_are_made_as_it_takes() {
    let good = Reply::status("200 OK");
    let bad = Reply::status("500 Internal Server Error");
    for (replies, verdict, requests) in [
        (vec![good.clone()], Verdict::Pass, 2),
        (vec![bad.clone(), good.clone()], Verdict::Pass, 3),
        (vec![bad.clone()], Verdict::Fail, 2),
        (vec![good, bad], Verdict::Fail, 3),
    ] {
        let server = Server::start(None, &replies).await;
        let answer = ask_http(&server, json!({"attempts": 3, "successes": 2})).await;
        assert_eq!(answer.verdict, verdict);
        assert_eq!(server.seen().len(), requests);
    }
}

#[tokio::test]
async fn addresses_are_asked_in_turn() {
    // 192.0.2.20 and .21, each led to a server of its own.
    let (one, other) = (
        Server::start(None, &[Reply::status("200 OK")]).await,
        Server::start(None, &[Reply::status("200 OK")]).await,
    );
    let route53 = zone_with(
        "shared.eks-blueprint.example.com",
        &["192.0.2.21", "192.0.2.20"],
    );
    let connect_to = format!("192.0.2.20={},192.0.2.21={}", one.address, other.address);
    let prober = Prober::new(&connect_to, "").unwrap();
    let probe = json!({"scheme": "http", "attempts": 4, "successes": 4});
    let event = event(&["shared.eks-blueprint.example.com"], &probe);
    let answer = handle(&event, &route53, &prober).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Pass);
    assert_eq!((one.seen().len(), other.seen().len()), (2, 2));
}

#[tokio::test]
async fn ipv4_is_preferred_and_ipv6_is_good_enough() {
    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let connect_to = format!("192.0.2.1={},2001:db8::*=[::1]:1", server.address);
    let prober = Prober::new(&connect_to, "").unwrap();
    let (v4, v6) = ("192.0.2.1", "2001:db8::1");
    for (addresses, asked) in [
        (vec![v4, v6], server.address.to_string()),
        (vec![v6], "[::1]:1".into()),
    ] {
        let targets = addresses
            .iter()
            .map(|address| Target::Address(address.parse().unwrap()))
            .collect();
        let question = Question {
            host: BURNHAM,
            targets: &targets,
            probe: &Probe {
                scheme: Scheme::Http,
                expected_status: "599".parse().unwrap(),
                ..Probe::default()
            },
            timeout: Duration::from_secs(5),
        };
        for number in 0..3 {
            let problem = prober.attempt(&question, number).await.unwrap_err();
            assert_eq!(problem.address.unwrap().to_string(), asked);
        }
    }
}

#[tokio::test]
async fn addresses_of_the_machine_itself_are_refused() {
    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let port = server.address.port();
    for address in ["127.0.0.1", "169.254.169.254"] {
        let route53 = zone_with("shared.eks-blueprint.example.com", &[address]);
        // What is permitted for other targets is not for this one.
        let prober = Prober::new(&format!("*burnham*=127.0.0.1:{port}"), "").unwrap();
        let probe = json!({"scheme": "http", "port": port});
        let event = event(&["shared.eks-blueprint.example.com"], &probe);
        let answer = handle(&event, &route53, &prober).await.unwrap();
        check_failure(&answer, Phase::Resolve, "which is never connected to");
        assert_eq!(
            answer.failures[0].address,
            Some(format!("{address}:{port}"))
        );
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_host_that_resolves_to_the_machine_itself_is_refused() {
    let route53 = zone_with("legacy.eks-blueprint.example.com", &["localhost"]);
    let prober = Prober::new("", "").unwrap();
    let event = event(&["legacy.eks-blueprint.example.com"], &json!({}));
    let answer = handle(&event, &route53, &prober).await.unwrap();
    check_failure(&answer, Phase::Resolve, "");
    assert_eq!(answer.failures[0].target.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn a_record_that_is_gone_is_a_failure() {
    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let prober = Prober::new(&server.connect_to(), "").unwrap();
    let names = [BURNHAM, "gone.eks-blueprint.example.com"];
    let answer = ask(&names, json!({"scheme": "http"}), &prober).await;
    assert_eq!((answer.healthy, answer.names), (1, 2));
    assert_eq!(
        answer.reason,
        "1 of 2 names are not healthy on eks-blueprint-green: gone.eks-blueprint.example.com (resolve): \
         the zone has no weighted record of eks-blueprint-green for it"
    );
    assert_eq!(
        serde_json::to_value(&answer.failures[0]).unwrap(),
        json!({
            "name": "gone.eks-blueprint.example.com",
            "phase": "resolve",
            "problem": "the zone has no weighted record of eks-blueprint-green for it",
        })
    );
}

#[tokio::test]
async fn the_answer_stays_small() {
    let names: Vec<_> = (10..50)
        .rev()
        .map(|number| format!("gone-{number}.eks-blueprint.example.com"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let prober = Prober::new("", "").unwrap();
    let answer = ask(&names, json!({}), &prober).await;
    assert_eq!((answer.names, answer.failures.len()), (40, 10));
    assert_eq!(answer.failures[0].name, "gone-10.eks-blueprint.example.com");

    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let answer = ask_http(&server, json!({"expectedBody": "ß".repeat(10_000)})).await;
    assert_eq!(answer.failures[0].problem.chars().count(), 301);
}

#[tokio::test]
async fn a_probe_that_is_switched_off_reads_nothing() {
    let route53 = zone();
    let prober = Prober::new("", "").unwrap();
    let event = event(&[BURNHAM], &json!({"enabled": false}));
    let answer = handle(&event, &route53, &prober).await.unwrap();
    assert_eq!((answer.verdict, answer.healthy), (Verdict::Pass, 0));
    assert_eq!(route53.calls(), 0);
}

#[tokio::test]
async fn a_zone_that_can_t_be_read_is_an_error() {
    let route53 = zone();
    route53.on_call(0, Fault::Throttled);
    let prober = Prober::new("", "").unwrap();
    let outcome = handle(&event(&[BURNHAM], &json!({})), &route53, &prober).await;
    assert_eq!(outcome, Err(Error::Throttled("Rate exceeded".into())));
}

#[tokio::test]
async fn bad_input_is_named_by_its_path() {
    let prober = Prober::new("", "").unwrap();
    for (event, problem) in [
        (json!({}), "input: missing field `migration`"),
        (json!("migration"), "input: invalid type"),
        (
            event(&[BURNHAM], &json!({"concurrency": 0})),
            "migration.probe.concurrency: expected a whole number from 1 to 100",
        ),
        (
            event(&[], &json!({})),
            "migration.names: expected at least one name",
        ),
    ] {
        let Err(Error::InvalidInput(message)) = handle(&event, &zone(), &prober).await else {
            panic!("{event} was taken");
        };
        assert!(message.starts_with(problem), "{message}");
    }
}

#[test]
fn malformed_settings_are_named() {
    let problem = Prober::new("nonsense", "").unwrap_err();
    assert!(problem.starts_with("PROBE_CONNECT_TO: "), "{problem}");
    let problem = Prober::new("", "nonsense").unwrap_err();
    assert!(problem.starts_with("PROBE_CA_CERTIFICATES: "), "{problem}");
}
