//! Whole probes, from the event to the report, with servers on the loopback address.

use fakes::{FakeRoute53, Fault};
use migration::dns::{RecordData, RecordType, Routing};
use migration::input::{Probe, Scheme};
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

/// The zone with new values in the records of one name.
fn zone_with(name: &str, new_values: &[&str]) -> FakeRoute53 {
    let route53 = zone();
    route53.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.name.as_str() == name
                && let RecordData::Values { values, .. } = &mut record_set.data
            {
                *values = new_values.iter().map(|value| (*value).to_owned()).collect();
            }
        }
    });
    route53
}

/// The event for `names`. `overrides` are fields of `probe`, whose default here is one attempt.
fn event(names: &[&str], overrides: &Value) -> Value {
    let mut settings = json!({"attempts": 1, "successes": 1});
    for (key, value) in overrides.as_object().unwrap() {
        settings[key] = value.clone();
    }
    json!({"migration": {
        "execution": "0123456789abcdef/run",
        "redrives": 0,
        "hostedZoneId": ZONE_ID,
        "from": "eks-blueprint-blue",
        "to": "eks-blueprint-green",
        "names": {"zone": "eks-blueprint.example.com", "relative": names.iter().map(|name| format!("{name}.")).collect::<Vec<_>>()},
        "startPercent": 0,
        "adopted": [],
        "adoptedJournals": 0,
        "steps": [],
        "weightTotal": 100,
        "maxBakeSeconds": 3600,
        "checkSeconds": 60,
        "failureThreshold": 1,
        "ttlFactor": 1.0,
        "readyTimeoutSeconds": 1800,
        "approvalTimeoutSeconds": 86400,
        "probe": settings,
        "alarms": {},
        "externalDns": {"mode": "lease", "from": {"txtPrefix": "", "txtSuffix": "", "txtWildcardReplacement": ""}, "to": {"txtPrefix": "", "txtSuffix": "", "txtWildcardReplacement": ""}},
        "onFailure": "rollback",
        "onRefusal": "rollback",
        "onDrift": "hold",
        "dryRun": false,
    }})
}

async fn run_probe(names: &[&str], settings: Value, prober: &Prober) -> ProbeReport {
    handle(&event(names, &settings), &zone(), prober)
        .await
        .unwrap()
}

async fn run_http_probe(server: &Server, mut settings: Value) -> ProbeReport {
    settings["scheme"] = "http".into();
    let prober = Prober::new(&server.connect_to(), "").unwrap();
    run_probe(&[BURNHAM], settings, &prober).await
}

#[track_caller]
fn check_failure(report: &ProbeReport, phase: Phase, problem: &str) {
    assert_eq!(report.verdict, Verdict::Fail);
    let [failure] = report.failures.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(failure.phase, phase, "{}", failure.problem);
    assert!(failure.problem.contains(problem), "{}", failure.problem);
}

#[tokio::test]
async fn healthy_name_passes_and_is_sent_as_server_name_and_host() {
    let authority = Authority::new("ours");
    let server = Server::start(
        Some(authority.issue(BURNHAM)),
        &[Reply::with_body("200 OK", "served by eks-blueprint-green")],
    )
    .await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    let settings = json!({"path": "/healthz?deep=1", "expectedBody": "eks-blueprint-green"});
    let report = run_probe(&[BURNHAM], settings, &prober).await;
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({
            "verdict": "pass",
            "reason": "1 of 1 names are healthy on eks-blueprint-green",
            "healthy": 1,
            "names": 1,
            "failures": [],
        })
    );
    let [request] = &server.received()[..] else {
        panic!("expected one request, found {:?}", server.received());
    };
    assert_eq!(request.server_name.as_deref(), Some(BURNHAM));
    assert!(request.head.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"));
    assert!(request.head.contains(&format!("host: {BURNHAM}\r\n")));
}

#[tokio::test]
async fn wildcard_is_probed_with_the_wildcard_label() {
    let authority = Authority::new("ours");
    let server = Server::start(
        Some(authority.issue("*.apps.eks-blueprint.example.com")),
        &[Reply::status("204 No Content")],
    )
    .await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    let names = ["\\052.apps.eks-blueprint.example.com"];
    let report = run_probe(&names, json!({"wildcardLabel": "any"}), &prober).await;
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!(
        server.received()[0].server_name.as_deref(),
        Some("any.apps.eks-blueprint.example.com")
    );
}

#[tokio::test]
async fn invalid_certificate_fails_unless_verification_is_off() {
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
        let report = run_probe(&[BURNHAM], json!({}), &prober).await;
        check_failure(&report, Phase::Tls, problem);
        assert!(server.received().is_empty());
        let report = run_probe(&[BURNHAM], json!({"verifyCertificate": false}), &prober).await;
        assert_eq!(report.verdict, Verdict::Pass);
    }
}

#[tokio::test]
async fn tls_session_is_never_resumed() {
    let authority = Authority::new("ours");
    let server = Server::start(Some(authority.issue(BURNHAM)), &[Reply::status("200 OK")]).await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    for verify in [true, false] {
        let settings = json!({"attempts": 3, "successes": 3, "verifyCertificate": verify});
        assert_eq!(
            run_probe(&[BURNHAM], settings, &prober).await.verdict,
            Verdict::Pass
        );
    }
    let requests = server.received();
    assert_eq!(requests.len(), 6);
    for request in requests {
        assert_ne!(request.handshake, None);
        assert_ne!(request.handshake, Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn failure_reports_target_address_phase_and_problem() {
    let server = Server::start(None, &[Reply::status("503 Service Unavailable")]).await;
    let report = run_http_probe(&server, json!({})).await;
    let address = server.address;
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({
            "verdict": "fail",
            "reason": format!(
                "1 of 1 names are not healthy on eks-blueprint-green: {BURNHAM} at {address} (HTTP): \
                 status 503, expected 200-399 (probe.expectedStatus)"
            ),
            "healthy": 0,
            "names": 1,
            "failures": [{
                "name": BURNHAM,
                "target": BURNHAM_TARGET,
                "address": address.to_string(),
                "phase": "HTTP",
                "problem": "status 503, expected 200-399 (probe.expectedStatus)",
            }],
        })
    );
}

#[tokio::test]
async fn wrong_body_fails_and_is_not_quoted() {
    let server = Server::start(None, &[Reply::with_body("200 OK", "secret of blue")]).await;
    let report = run_http_probe(&server, json!({"expectedBody": "green"})).await;
    check_failure(
        &report,
        Phase::Http,
        "the first 14 bytes of the body do not contain \"green\" (probe.expectedBody)",
    );
    assert!(!format!("{report:?}").contains("secret"));
    // Every body contains the empty text.
    let report = run_http_probe(&server, json!({"expectedBody": ""})).await;
    assert_eq!(report.verdict, Verdict::Pass);
}

#[tokio::test]
async fn redirect_is_judged_by_its_status_and_not_followed() {
    let server = Server::start(None, &[Reply::status("301 Moved Permanently")]).await;
    assert_eq!(
        run_http_probe(&server, json!({})).await.verdict,
        Verdict::Pass
    );
    let report = run_http_probe(&server, json!({"expectedStatus": "200"})).await;
    check_failure(&report, Phase::Http, "status 301");
    assert_eq!(server.received().len(), 2, "the redirect was followed");
}

#[tokio::test]
async fn endless_response_is_read_up_to_the_limit() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let server = Server::start(None, &[Reply::Endless(head, "forever and ")]).await;
    let report = run_http_probe(&server, json!({"expectedBody": "ever after"})).await;
    check_failure(&report, Phase::Http, "the first 65536 bytes of the body");
    let report = run_http_probe(&server, json!({"expectedBody": "forever"})).await;
    assert_eq!(report.verdict, Verdict::Pass);
    let head = "HTTP/1.1 200 OK\r\nX-Endless: ";
    for (head, tail) in [(head, "forever and "), (head, "x\r\nX-More: ")] {
        let server = Server::start(None, &[Reply::Endless(head, tail)]).await;
        let report = run_http_probe(&server, json!({})).await;
        check_failure(&report, Phase::Http, "message head is too large");
    }
}

#[tokio::test]
async fn malformed_response_fails_in_the_http_phase() {
    for response in [
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
        let server = Server::start(None, &[Reply::Text(response.to_owned())]).await;
        let report = run_http_probe(&server, json!({"expectedBody": "green"})).await;
        check_failure(&report, Phase::Http, "");
        assert!(!report.reason.contains("OpenSSH"), "{}", report.reason);
    }
}

#[tokio::test]
async fn closed_or_refused_connection_fails_in_its_phase() {
    let authority = Authority::new("ours");
    let server = Server::start(Some(authority.issue(BURNHAM)), &[Reply::Close]).await;
    let prober = Prober::new(&server.connect_to(), authority.pem()).unwrap();
    let report = run_probe(&[BURNHAM], json!({}), &prober).await;
    check_failure(&report, Phase::Tls, "");
    let report = run_http_probe(&server, json!({})).await;
    check_failure(&report, Phase::Http, "");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let prober = Prober::new(&format!("*={closed}"), "").unwrap();
    let report = run_probe(&[BURNHAM], json!({}), &prober).await;
    check_failure(&report, Phase::Connect, "refused");
}

#[tokio::test]
async fn silent_server_fails_after_the_attempt_timeout() {
    let server = Server::start(None, &[Reply::Silence]).await;
    let prober = Prober::new(&server.connect_to(), "").unwrap();
    let targets = [Target::Address(server.address.ip())].into();
    for (scheme, phase) in [(Scheme::Http, Phase::Http), (Scheme::Https, Phase::Tls)] {
        let name_probe = NameProbe {
            host: BURNHAM,
            targets: &targets,
            settings: &Probe {
                scheme,
                ..Probe::default()
            },
            timeout: Duration::from_millis(100),
        };
        let problem = prober.attempt(&name_probe, 0).await.unwrap_err();
        assert_eq!(problem.phase, phase);
        assert_eq!(
            problem.text,
            "timed out after 100ms (probe.attemptTimeoutSeconds)"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn name_unfinished_at_the_deadline_is_inconclusive() {
    let silent = Server::start(None, &[Reply::Silence]).await;
    let settings = json!({"deadlineSeconds": 30, "attemptTimeoutSeconds": 60});
    let report = run_http_probe(&silent, settings).await;
    assert_eq!(
        (report.verdict, report.healthy, report.names),
        (Verdict::Inconclusive, 0, 1)
    );
    assert_eq!(
        report.reason,
        "1 of 1 names were not probed on eks-blueprint-green within 30 seconds (probe.deadlineSeconds); \
         the others are healthy"
    );
    assert_eq!(report.failures, []);
}

#[test]
fn failed_name_takes_precedence_over_unfinished_name() {
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
    let both = report(vec![Ok(()), Err(failure)], &migration);
    assert_eq!((both.verdict, both.healthy), (Verdict::Fail, 1));
    let neither = report(vec![Ok(()), Ok(())], &migration);
    assert_eq!(
        (neither.verdict, neither.healthy),
        (Verdict::Inconclusive, 2)
    );
}

#[tokio::test]
async fn attempts_stop_once_the_result_is_decided() {
    let good = Reply::status("200 OK");
    let bad = Reply::status("500 Internal Server Error");
    for (replies, verdict, requests) in [
        (vec![good.clone()], Verdict::Pass, 2),
        (vec![bad.clone(), good.clone()], Verdict::Pass, 3),
        (vec![bad.clone()], Verdict::Fail, 2),
        (vec![good, bad], Verdict::Fail, 3),
    ] {
        let server = Server::start(None, &replies).await;
        let report = run_http_probe(&server, json!({"attempts": 3, "successes": 2})).await;
        assert_eq!(report.verdict, verdict);
        assert_eq!(server.received().len(), requests);
    }
}

#[tokio::test]
async fn attempts_use_the_addresses_in_turn() {
    // Each of the two addresses is replaced by its own server.
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
    let settings = json!({"scheme": "http", "attempts": 4, "successes": 4});
    let event = event(&["shared.eks-blueprint.example.com"], &settings);
    let report = handle(&event, &route53, &prober).await.unwrap();
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!((one.received().len(), other.received().len()), (2, 2));
}

#[tokio::test]
async fn ipv6_address_is_used_only_without_an_ipv4_address() {
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
        let name_probe = NameProbe {
            host: BURNHAM,
            targets: &targets,
            settings: &Probe {
                scheme: Scheme::Http,
                expected_status: "599".parse().unwrap(),
                ..Probe::default()
            },
            timeout: Duration::from_secs(5),
        };
        for number in 0..3 {
            let problem = prober.attempt(&name_probe, number).await.unwrap_err();
            assert_eq!(problem.address.unwrap().to_string(), asked);
        }
    }
}

#[tokio::test]
async fn loopback_and_link_local_targets_are_refused() {
    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let port = server.address.port();
    for address in ["127.0.0.1", "169.254.169.254"] {
        let route53 = zone_with("shared.eks-blueprint.example.com", &[address]);
        // The override is for another target and permits no loopback address here.
        let prober = Prober::new(&format!("*burnham*=127.0.0.1:{port}"), "").unwrap();
        let settings = json!({"scheme": "http", "port": port});
        let event = event(&["shared.eks-blueprint.example.com"], &settings);
        let report = handle(&event, &route53, &prober).await.unwrap();
        check_failure(&report, Phase::Resolve, "to which the probe never connects");
        assert_eq!(
            report.failures[0].address,
            Some(format!("{address}:{port}"))
        );
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn host_that_resolves_to_loopback_is_refused() {
    let route53 = zone_with("legacy.eks-blueprint.example.com", &["localhost"]);
    let prober = Prober::new("", "").unwrap();
    let event = event(&["legacy.eks-blueprint.example.com"], &json!({}));
    let report = handle(&event, &route53, &prober).await.unwrap();
    check_failure(&report, Phase::Resolve, "");
    assert_eq!(report.failures[0].target.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn name_without_a_record_fails() {
    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let prober = Prober::new(&server.connect_to(), "").unwrap();
    let names = [BURNHAM, "gone.eks-blueprint.example.com"];
    let report = run_probe(&names, json!({"scheme": "http"}), &prober).await;
    assert_eq!((report.healthy, report.names), (1, 2));
    assert_eq!(
        report.reason,
        "1 of 2 names are not healthy on eks-blueprint-green: gone.eks-blueprint.example.com (resolve): \
         expected a weighted A, AAAA or CNAME record of eks-blueprint-green in the zone, found none"
    );
    assert_eq!(
        serde_json::to_value(&report.failures[0]).unwrap(),
        json!({
            "name": "gone.eks-blueprint.example.com",
            "phase": "resolve",
            "problem": "expected a weighted A, AAAA or CNAME record of eks-blueprint-green in the zone, found none",
        })
    );
}

#[tokio::test]
async fn each_name_is_probed_with_its_own_set_identifier() {
    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let prober = Prober::new(&server.connect_to(), "").unwrap();
    let route53 = zone();
    let of_burnham = "burnham-eks-green".parse().unwrap();
    route53.edit(|record_sets| {
        for record_set in record_sets {
            if let Routing::Weighted { set_identifier, .. } = &mut record_set.routing
                && record_set.name.as_str() == BURNHAM
                && set_identifier.as_str() == "eks-blueprint-green"
            {
                *set_identifier = SetIdentifier::clone(&of_burnham);
            }
        }
    });
    let mut event = event(&[BURNHAM], &json!({"scheme": "http"}));
    event["migration"]["to"] = "*-green".into();
    for (text, verdict) in [("burnham-eks", Verdict::Pass), ("other-eks", Verdict::Fail)] {
        event["migration"]["templateTexts"] = json!({"to": [text]});
        let report = handle(&event, &route53, &prober).await.unwrap();
        assert_eq!(report.verdict, verdict, "{report:?}");
    }
    event["migration"]["templateTexts"] = json!({"to": []});
    let error = handle(&event, &route53, &prober).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "templateTexts: expected a text for each of 1 names, found 0"
    );
}

#[tokio::test]
async fn report_lists_ten_failures_with_shortened_problems() {
    let names: Vec<_> = (10..50)
        .rev()
        .map(|number| format!("gone-{number}.eks-blueprint.example.com"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let prober = Prober::new("", "").unwrap();
    let report = run_probe(&names, json!({}), &prober).await;
    assert_eq!((report.names, report.failures.len()), (40, 10));
    assert_eq!(report.failures[0].name, "gone-10.eks-blueprint.example.com");

    let server = Server::start(None, &[Reply::status("200 OK")]).await;
    let report = run_http_probe(&server, json!({"expectedBody": "ß".repeat(10_000)})).await;
    assert_eq!(report.failures[0].problem.chars().count(), 601);
}

#[tokio::test]
async fn disabled_probe_passes_without_reading_the_zone() {
    let route53 = zone();
    let prober = Prober::new("", "").unwrap();
    let event = event(&[BURNHAM], &json!({"enabled": false}));
    let report = handle(&event, &route53, &prober).await.unwrap();
    assert_eq!((report.verdict, report.healthy), (Verdict::Pass, 0));
    assert_eq!(route53.calls(), 0);
}

#[tokio::test]
async fn error_of_reading_the_zone_is_returned() {
    let route53 = zone();
    route53.inject_fault(0, Fault::Throttled);
    let prober = Prober::new("", "").unwrap();
    let outcome = handle(&event(&[BURNHAM], &json!({})), &route53, &prober).await;
    assert!(matches!(outcome, Err(Error::Throttled(_))), "{outcome:?}");
}

#[tokio::test]
async fn invalid_input_is_reported_with_its_path() {
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
        let error = handle(&event, &zone(), &prober).await.unwrap_err();
        assert_eq!(error.name(), "InvalidInput");
        let message = error.message();
        assert!(message.starts_with(problem), "{message}");
    }
}

#[test]
fn malformed_environment_variable_is_named_in_the_error() {
    let problem = Prober::new("nonsense", "").unwrap_err();
    assert!(problem.starts_with("PROBE_CONNECT_TO: "), "{problem}");
    let problem = Prober::new("", "nonsense").unwrap_err();
    assert!(problem.starts_with("PROBE_CA_CERTIFICATES: "), "{problem}");
}

/// The zone in which the name's AAAA records are on the side `side` only.
fn one_sided_zone(side: &str) -> FakeRoute53 {
    let route53 = zone();
    route53.edit(|record_sets| {
        record_sets.retain(|it| {
            it.record_type != RecordType::Aaaa
                || it
                    .weighted()
                    .is_some_and(|(identifier, _)| identifier.as_str() == side)
        });
    });
    route53
}

/// Route 53 answers with a lone record whatever its weight is.
#[tokio::test]
async fn name_with_addresses_of_a_type_on_one_side_only_fails() {
    let server = Server::start(None, &[Reply::with_body("200 OK", "")]).await;
    let http = json!({"scheme": "http"});
    let is_accepted = |accepted: bool| {
        let mut event = event(&[BURNHAM], &http);
        event["migration"]["acceptOneSidedTypes"] = accepted.into();
        event
    };
    let without_ipv6 = Prober::new(&server.connect_to(), "").unwrap();
    let blue = "*-blue00000001-*=[2001:db8::1]:80";
    let blue_with_ipv6 = format!("{blue},{}", server.connect_to());
    let with_ipv6 = Prober::new(&blue_with_ipv6, "").unwrap();
    for (side, prober, accepted, verdict) in [
        ("eks-blueprint-green", &without_ipv6, false, Verdict::Pass),
        ("eks-blueprint-blue", &without_ipv6, false, Verdict::Pass),
        ("eks-blueprint-blue", &with_ipv6, false, Verdict::Fail),
        ("eks-blueprint-blue", &with_ipv6, true, Verdict::Pass),
    ] {
        let (event, route53) = (is_accepted(accepted), one_sided_zone(side));
        let report = handle(&event, &route53, prober).await.unwrap();
        assert_eq!(report.verdict, verdict, "{side}: {report:?}");
        if verdict == Verdict::Fail {
            check_failure(
                &report,
                Phase::Resolve,
                "eks-blueprint-green has no AAAA record, and that of eks-blueprint-blue has addresses (2001:db8::1), so \
                 its clients would stay there",
            );
        }
    }
}
