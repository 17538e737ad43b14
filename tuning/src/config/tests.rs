//! The table is consistent with itself, and with what Kafka's users expect of it.

use super::*;

fn map(entries: &[(&str, &str)]) -> ConfigMap {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn every_def() -> impl Iterator<Item = &'static ConfigDef> {
    [Scope::Topic, Scope::Broker, Scope::Group].into_iter().flat_map(defs)
}

#[test]
fn every_default_is_a_value_that_the_key_accepts() {
    for def in every_def() {
        if let Some(default) = def.default {
            validate(def.scope, def.name, default).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn no_key_stands_twice_at_one_level() {
    for scope in [Scope::Topic, Scope::Broker, Scope::Group] {
        let mut names: Vec<_> = defs(scope).map(|def| def.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{scope:?}");
    }
}

#[test]
fn every_synonym_is_a_broker_key_with_the_same_default() {
    for def in every_def() {
        for synonym in def.synonyms {
            let other = find(Scope::Broker, synonym.name)
                .unwrap_or_else(|| panic!("{} names {}", def.name, synonym.name));
            let Some(default) = other.default else { continue };
            let own = def.default.expect("a key with synonyms has a default");
            if synonym.factor == 1 {
                assert_eq!(default, own, "{} and {}", def.name, synonym.name);
            } else {
                let scaled = default.parse::<i64>().expect("a number") * synonym.factor;
                assert_eq!(scaled.to_string(), own, "{} and {}", def.name, synonym.name);
            }
        }
    }
}

#[test]
fn documentation_is_sentences_and_says_what_has_no_effect() {
    for def in every_def() {
        let text = def.documentation();
        assert!(text.ends_with('.'), "{}: {text}", def.name);
        assert!(!text.contains("  "), "{}: {text}", def.name);
        match def.honoured {
            Honoured::Yes => {}
            Honoured::NotYet(_) => assert!(text.contains("Not in effect yet: ")),
            Honoured::NoOp(_) => assert!(text.contains("Accepted without effect: ")),
            Honoured::DefaultOnly(_) => assert!(text.contains("Only the default is accepted: ")),
        }
    }
}

#[test]
fn defaults_resolve_to_kafkas_numbers() {
    let topic = TopicConfig::default();
    assert!(topic.cleanup_delete && !topic.cleanup_compact);
    assert_eq!(topic.retention_ms, Some(604_800_000));
    assert_eq!(topic.retention_bytes, None);
    assert_eq!(topic.segment_bytes, 1 << 30);
    assert_eq!(topic.batch_bytes_max, 1_048_588);
    assert_eq!(topic.insync_replicas_min, 1);
    assert_eq!(topic.timestamp_after_max_ms, 3_600_000);
    assert_eq!(topic.durability, Durability::EveryBatch);
    let broker = BrokerConfig::default();
    assert_eq!(broker.listeners[0].host, "127.0.0.1");
    assert_eq!((broker.partitions_default, broker.replication_factor_default), (1, 1));
    assert_eq!(broker.advertised_listeners, broker.listeners);
}

#[test]
fn the_finest_unit_wins_and_the_topic_before_all() {
    let file = map(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]);
    let mut layers = Layers { file: &file, ..Layers::default() };
    assert_eq!(TopicConfig::resolve(&layers).retention_ms, Some(180_000));
    let cluster = map(&[("log.retention.ms", "77")]);
    layers.cluster = &cluster;
    assert_eq!(TopicConfig::resolve(&layers).retention_ms, Some(77));
    let topic = map(&[("retention.ms", "-1")]);
    layers.resource = &topic;
    assert_eq!(TopicConfig::resolve(&layers).retention_ms, None);
    let def = find(Scope::Topic, "retention.ms").expect("in the table");
    assert_eq!(layers.effective(def).source, Source::Topic);
}

#[test]
fn a_limit_of_minus_one_is_not_multiplied() {
    let file = map(&[("log.retention.hours", "-1")]);
    let layers = Layers { file: &file, ..Layers::default() };
    assert_eq!(TopicConfig::resolve(&layers).retention_ms, None);
}

#[test]
fn wrong_values_are_refused_with_the_way_out() {
    let says = |name: &str, value: &str| {
        validate(Scope::Topic, name, value).expect_err("must be refused").to_string()
    };
    assert_eq!(
        says("retention.msec", "1"),
        "unknown topic config 'retention.msec'; did you mean 'retention.ms'?"
    );
    assert_eq!(says("colour", "red"), "unknown topic config 'colour'");
    assert_eq!(
        says("segment.bytes", "1000"),
        "invalid value '1000' for segment.bytes: must be a whole number of at least 1048576"
    );
    assert_eq!(
        says("cleanup.policy", "compact,squash"),
        "invalid value 'compact,squash' for cleanup.policy: must be a comma-separated list of \
         compact, delete"
    );
    let tiered = says("remote.storage.enable", "true");
    assert!(tiered.starts_with("remote.storage.enable can only be false"), "{tiered}");
    assert!(says("min.insync.replicas", "0").contains("at least 1"));
    assert!(says("min.cleanable.dirty.ratio", "NaN").contains("from 0 to 1"));
}

#[test]
fn what_older_tools_set_is_accepted_and_reported() {
    for name in ["message.downconversion.enable", "message.format.version", "num.network.threads"] {
        let scope = if name.starts_with("num") { Scope::Broker } else { Scope::Topic };
        let def = find(scope, name).expect("in the table");
        assert!(matches!(def.honoured, Honoured::NoOp(_)));
    }
}

#[test]
fn contradictions_between_keys_are_refused() {
    let bad = map(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "9")]);
    let error = validate_map(Scope::Topic, &bad).expect_err("lag above lag");
    assert!(error.to_string().starts_with("min.compaction.lag.ms = 10 contradicts"));
    assert_eq!(validate_map(Scope::Topic, &map(&[("min.compaction.lag.ms", "10")])), Ok(()));
}

#[test]
fn alterations_set_delete_append_and_subtract() {
    let stored = map(&[("retention.ms", "5")]);
    let op = |name, op, value| Alteration { name, op, value };
    let altered = alter(
        Scope::Topic,
        &stored,
        &[
            op("segment.bytes", AlterOp::Set, Some("2097152")),
            op("retention.ms", AlterOp::Delete, None),
            op("cleanup.policy", AlterOp::Append, Some("compact,delete")),
        ],
    )
    .expect("all fine");
    assert_eq!(altered, map(&[("segment.bytes", "2097152"), ("cleanup.policy", "delete,compact")]));
    let less =
        alter(Scope::Topic, &altered, &[op("cleanup.policy", AlterOp::Subtract, Some("delete"))]);
    assert_eq!(less.expect("fine")["cleanup.policy"], "compact");
}

#[test]
fn bad_alterations_change_nothing() {
    let refused = |name, op, value| {
        let alteration = Alteration { name, op, value };
        alter(Scope::Topic, &ConfigMap::new(), &[alteration]).expect_err("must be refused")
    };
    assert_eq!(
        refused("retention.ms", AlterOp::Append, Some("1")),
        ConfigError::NotAList { name: "retention.ms" }
    );
    assert!(matches!(refused("retention.ms", AlterOp::Set, None), ConfigError::NullValue { .. }));
    assert!(matches!(refused("nothing", AlterOp::Delete, None), ConfigError::UnknownKey { .. }));
    let twice = Alteration { name: "retention.ms", op: AlterOp::Delete, value: None };
    assert!(matches!(
        alter(Scope::Topic, &ConfigMap::new(), &[twice, twice]),
        Err(ConfigError::Twice { .. })
    ));
    let node = Alteration { name: "node.id", op: AlterOp::Set, value: Some("3") };
    assert_eq!(
        alter(Scope::Broker, &ConfigMap::new(), &[node]),
        Err(ConfigError::ReadOnly { name: "node.id" })
    );
}

#[test]
fn descriptions_are_complete_and_name_every_origin() {
    let file = map(&[("log.retention.hours", "1")]);
    let topic = map(&[("retention.ms", "9")]);
    let layers = Layers { file: &file, resource: &topic, ..Layers::default() };
    let rows = describe(Scope::Topic, &layers, None);
    assert_eq!(rows.len(), defs(Scope::Topic).count());
    let row = rows.iter().find(|row| row.name == "retention.ms").expect("described");
    assert_eq!((row.value.as_deref(), row.source), (Some("9"), Source::Topic));
    let origins: Vec<_> = row
        .synonyms
        .iter()
        .map(|synonym| (synonym.name, synonym.value.as_deref(), synonym.source))
        .collect();
    assert_eq!(
        origins,
        [
            ("retention.ms", Some("9"), Source::Topic),
            ("log.retention.hours", Some("1"), Source::StaticBroker),
            ("log.retention.hours", Some("168"), Source::Default),
        ]
    );
    let one = describe(Scope::Broker, &layers, Some(&["num.partitions", "no.such.key"]));
    assert_eq!(one.len(), 1);
    assert!(one[0].is_default() && one[0].read_only);
}

#[test]
fn synonyms_are_told_in_their_own_unit_and_begin_where_kafkas_do() {
    type Told = Vec<(&'static str, Option<String>, Source)>;
    let told = |layers: &Layers<'_>, name: &'static str| -> Told {
        let row = describe(Scope::Topic, layers, Some(&[name])).remove(0);
        row.synonyms.into_iter().map(|other| (other.name, other.value, other.source)).collect()
    };
    let own = |name, value: &str, source| (name, Some(value.to_owned()), source);
    let unset = Layers::default();
    assert_eq!(told(&unset, "retention.ms"), []);
    assert_eq!(told(&unset, "follower.replication.throttled.replicas"), []);
    let bytes = own("log.segment.bytes", "1073741824", Source::Default);
    assert_eq!(told(&unset, "segment.bytes"), [bytes]);

    let topic = map(&[("retention.ms", "9")]);
    let on_topic = own("retention.ms", "9", Source::Topic);
    assert_eq!(told(&Layers::of_resource(&topic), "retention.ms"), [on_topic]);

    let broker = map(&[("log.retention.ms", "5")]);
    let file = map(&[("log.retention.minutes", "3"), ("log.roll.hours", "2")]);
    let layers = Layers { broker: &broker, file: &file, ..Layers::default() };
    let retention = [
        own("log.retention.ms", "5", Source::DynamicBroker),
        own("log.retention.minutes", "3", Source::StaticBroker),
        own("log.retention.hours", "168", Source::Default),
    ];
    assert_eq!(told(&layers, "retention.ms"), retention);
    let roll = [
        own("log.roll.hours", "2", Source::StaticBroker),
        own("log.roll.hours", "168", Source::Default),
    ];
    assert_eq!(told(&layers, "segment.ms"), roll);
    let row = describe(Scope::Topic, &layers, Some(&["segment.ms"])).remove(0);
    assert_eq!(row.value.as_deref(), Some("7200000"));
}

#[test]
fn only_the_topic_itself_relaxes_durability() {
    let durability = |entries: &[(&str, &str)]| {
        let topic = map(entries);
        TopicConfig::resolve(&Layers::of_resource(&topic)).durability_asked
    };
    assert_eq!(durability(&[]), Durability::EveryBatch);
    assert_eq!(durability(&[("flush.messages", "1"), ("flush.ms", "50")]), Durability::EveryBatch);
    assert_eq!(durability(&[("flush.ms", "9223372036854775807")]), Durability::EveryBatch);
    let relaxed = Durability::Relaxed { messages: FLUSH_NEVER, ms: 50 };
    assert_eq!(durability(&[("flush.ms", "50")]), relaxed);
    let never = durability(&[("flush.messages", "9223372036854775807")]);
    assert!(never.is_kafkas_default() && never.to_string().contains("delete it"));
    let cluster = map(&[("log.flush.interval.messages", "9223372036854775807")]);
    let layers = Layers { cluster: &cluster, ..Layers::default() };
    assert_eq!(TopicConfig::resolve(&layers).durability_asked, Durability::EveryBatch);
}

#[test]
fn a_topic_that_asks_for_less_is_durable_all_the_same_and_is_told_so() {
    let topic = map(&[("flush.messages", "1000")]);
    let resolved = TopicConfig::resolve(&Layers::of_resource(&topic));
    assert!(resolved.durability_asked.is_relaxed());
    assert_eq!(resolved.durability, Durability::EveryBatch);
    let def = find(Scope::Topic, "flush.messages").expect("in the table");
    assert!(def.documentation().ends_with("whatever this says."));
}

#[test]
fn listeners_say_how_they_are_written() {
    let file = map(&[("listeners", "PLAINTEXT://[::1]:19092, OTHER://:0"), ("log.dir", "/d")]);
    let broker = BrokerConfig::resolve(&Layers { file: &file, ..Layers::default() });
    let broker = broker.expect("both are well formed");
    assert_eq!((broker.listeners[0].host.as_str(), broker.listeners[0].port), ("::1", 19_092));
    assert_eq!((broker.listeners[1].host.as_str(), broker.listeners[1].port), ("", 0));
    assert_eq!(broker.data_dir, "/d");
    let file = map(&[("listeners", "localhost:9092")]);
    let error = BrokerConfig::resolve(&Layers { file: &file, ..Layers::default() });
    assert!(error.expect_err("no name").contains("PLAINTEXT://127.0.0.1:9092"));
}

/// Run with `RINGMAIN_WRITE_DOCS=1` to write the page instead of comparing it.
#[test]
fn the_reference_page_is_fresh() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIGS.md");
    let page = reference_page();
    if std::env::var_os("RINGMAIN_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "CONFIGS.md is stale: RINGMAIN_WRITE_DOCS=1 cargo test -p ringmain-tuning"
    );
}

#[test]
fn what_holds_for_every_group_lies_within_the_bounds_that_the_broker_sets() {
    let session = "group.consumer.session.timeout.ms";
    let least = "group.consumer.min.session.timeout.ms";
    let check = |entries: &[(&str, &str)]| validate_map(Scope::Broker, &map(entries));
    assert!(matches!(check(&[(session, "6000")]), Err(ConfigError::Conflict { .. })));
    assert_eq!(check(&[(session, "6000"), (least, "6000")]), Ok(()));
    assert!(matches!(check(&[(session, "60001")]), Err(ConfigError::Conflict { .. })));
    let slow = [(session, "6000"), (least, "1"), ("group.consumer.heartbeat.interval.ms", "6001")];
    assert!(matches!(check(&slow), Err(ConfigError::Conflict { .. })));
}
