//! Configs of brokers: who may connect and what they may do.

use super::super::def::{ConfigDef, Kind};
use super::why;

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::broker(
        "sasl.enabled.mechanisms",
        Kind::List(&[]),
        "GSSAPI",
        "SASL mechanisms that clients may choose from.",
    )
    .not_yet(why::SECURITY),
    ConfigDef::broker(
        "sasl.server.max.receive.size",
        Kind::int(1),
        "524288",
        "Largest SASL token, in bytes.",
    )
    .read_only()
    .not_yet(why::SECURITY),
    ConfigDef::broker(
        "connections.max.reauth.ms",
        Kind::long(0),
        "0",
        "After how long a connection must authenticate again, in milliseconds; 0 for never.",
    )
    .read_only()
    .not_yet(why::SECURITY),
    ConfigDef::broker(
        "super.users",
        Kind::Text,
        "",
        "Principals that may do everything, separated by semicolons.",
    )
    .read_only()
    .not_yet(why::SECURITY),
    ConfigDef::broker(
        "allow.everyone.if.no.acl.found",
        Kind::Bool,
        "false",
        "May everyone use a resource for which there is no rule?",
    )
    .read_only()
    .not_yet(why::SECURITY),
    ConfigDef::broker(
        "authorizer.class.name",
        Kind::Text,
        "",
        "Class that decides who may do what.",
    )
    .read_only()
    .no_op(why::NO_CLASSES),
];
