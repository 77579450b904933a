//! Route 53's behaviour as a list of checks, each with its source: a page of AWS's
//! documentation, or a public issue that quotes Route 53's response.
//!
//! The tests of this crate run the checks with the fake, which must pass all that it can run, and
//! with the emulator of the local stack. The emulator differs in some: `tests/emulator.rs` lists
//! the differences, and its test fails if the list is wrong. A behaviour that has no check here is
//! an unverified assumption.
//!
//! [`behaviours()`] use the trait `Route53`, as the functions do, and run with fake and emulator.
//! [`behaviours_of_the_api()`] check requests that the trait can't express (a weight over 255,
//! UPSERT, a name in capitals). They use AWS's client and run with the emulator only.

mod api;
mod changes;
mod listing;
mod records;
mod values;
mod zone;

use std::pin::Pin;

use anyhow::Result;
use migration::route53::Route53;

pub use records::known_record_sets;
pub use zone::Zone;

/// One behaviour of Route 53, with its check.
#[derive(Clone, Copy)]
pub struct Behaviour<R: 'static> {
    pub name: &'static str,
    /// What Route 53 does, in one sentence.
    pub statement: &'static str,
    /// The page of AWS's documentation, or the public issue.
    pub source: &'static str,
    /// Fails if the service behaves differently. Needs a zone of its own with [`known_record_sets`].
    pub check: for<'a> fn(&'a Zone<R>) -> Check<'a>,
}

pub type Check<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

const CHANGE: &str = "Route 53 API Reference, ChangeResourceRecordSets";
const CHANGE_DATA: &str = "Route 53 API Reference, ResourceRecordSet";
const ALIAS: &str = "Route 53 API Reference, AliasTarget";
const GET_CHANGE: &str = "Route 53 API Reference, GetChange";
const LIST: &str = "Route 53 API Reference, ListResourceRecordSets";
const NAMES: &str = "Route 53 Developer Guide, DNS domain name format";
const QUOTAS: &str = "Route 53 Developer Guide, Quotas";
const TYPES: &str = "Route 53 Developer Guide, Supported DNS record types";
const VALUE: &str = "Route 53 API Reference, ResourceRecord";
const ZONE: &str = "Route 53 API Reference, GetHostedZone and HostedZone";
const OWN_RECORDS: &str =
    "Route 53 Developer Guide, NS and SOA records that Route 53 creates; airbnb/zonify#1";
/// AWS's documentation does not describe the order of the changes in a batch. These issues quote
/// Route 53's responses.
const ORDER_OF_CHANGES: &str = "cookpad/roadworker#89, kubernetes-sigs/external-dns#1411";

/// Builds the list from rows `module::check: "statement", SOURCE;`.
macro_rules! table {
    ($($module:ident::$check:ident: $statement:literal, $source:expr;)+) => {
        vec![$(Behaviour {
            name: stringify!($check),
            statement: $statement,
            source: $source,
            check: |zone| Box::pin($module::$check(zone)),
        }),+]
    };
}

/// The behaviours that the trait `Route53` can express.
#[rustfmt::skip]
pub fn behaviours<R: Route53>() -> Vec<Behaviour<R>> {
    table! {
        // The zone.
        listing::zone_counts_its_record_sets: "a zone's record set count includes NS, SOA and each record set of a weighted group", ZONE;
        listing::unknown_zone: "reading, listing or changing an unknown zone is refused", ZONE;

        // The order of the listing.
        listing::labels_from_the_right: "names are listed in the order of their labels from the right", LIST;
        listing::dot_is_part_of_the_order: "the dot after a label is part of the order: `a-b` comes before `a`", LIST;
        listing::wildcard_is_listed_as_a_star: "a wildcard is listed in the order of `*`: before hyphens, digits and letters", LIST;
        listing::escape_is_listed_as_its_character: "an escape is listed in the order of its character: `\\041`, a `!`, before digits", LIST;
        listing::types_within_a_name: "the types of a name are listed in ASCII order", LIST;
        listing::weighted_group_is_listed_together: "the record sets of a weighted group are listed one after the other", LIST;
        listing::pending_change_is_listed: "a change is listed while it is still PENDING", LIST;

        // Pages.
        listing::start_at_a_name: "a listing that starts at a name starts with it", LIST;
        listing::start_at_a_missing_name: "a listing that starts at a name that doesn't exist starts with the next one", LIST;
        listing::start_after_the_end: "a listing that starts after the last name is empty", LIST;
        listing::start_at_a_type: "a listing that starts at a type starts with it, or with the next one if it doesn't exist", LIST;
        listing::start_type_applies_to_its_name_only: "the start's type applies to the start's name only", LIST;
        listing::start_at_a_set_identifier: "a listing that starts at a set identifier starts with it", LIST;
        listing::page_is_cut: "a page has MaxItems record sets, and the next page's start is the first one left out", LIST;
        listing::last_page_has_no_next: "a page that ends with the last record set has no next page", LIST;
        listing::page_splits_a_weighted_group: "if a page splits a weighted group, the next page's start has a set identifier", LIST;
        listing::pages_of_any_size_give_the_listing: "pages of any size give the same listing", LIST;
        listing::largest_page: "a page has at most 300 record sets, whatever MaxItems says", LIST;

        // Compare-and-swap.
        changes::delete_of_the_exact_values: "DELETE with exactly the values deletes", CHANGE;
        changes::delete_of_the_exact_alias: "DELETE of an alias with exactly its fields deletes", CHANGE;
        changes::delete_with_another_weight: "DELETE with another weight is refused", CHANGE;
        changes::delete_with_another_ttl: "DELETE with another TTL is refused", CHANGE;
        changes::delete_with_another_value: "DELETE with another value is refused", CHANGE;
        changes::delete_with_a_value_missing: "DELETE with one of two values is refused", CHANGE;
        changes::delete_with_a_text_in_different_case: "DELETE with a text in different case is refused", TYPES;
        changes::delete_with_another_alias_target: "DELETE with another alias target is refused", CHANGE;
        changes::delete_with_another_alias_zone: "DELETE with another zone of the alias target is refused", CHANGE;
        changes::delete_with_another_evaluate_target_health: "DELETE with another EvaluateTargetHealth is refused", CHANGE;
        changes::delete_with_another_health_check: "DELETE with another health check is refused", CHANGE;
        changes::delete_without_the_health_check: "DELETE without the health check is refused", CHANGE;
        changes::delete_without_weight: "DELETE of a weighted record set as a simple one is refused", CHANGE;
        changes::delete_with_values_in_another_order: "DELETE accepts the values in any order", "RFC 2181, section 5; hashicorp/terraform-provider-aws keeps them as a set";
        changes::delete_of_a_missing_record_set: "DELETE of a record set that doesn't exist is refused", CHANGE;
        changes::delete_twice: "DELETE of the same record set twice in a batch is refused", CHANGE;
        changes::swap: "DELETE and then CREATE of the same record set in one batch replaces it", CHANGE;
        changes::swap_of_a_whole_name: "DELETE of all record sets of a name and then CREATE of all replaces them", CHANGE;
        changes::swap_in_the_wrong_order: "CREATE and then DELETE of the same record set in one batch is refused", ORDER_OF_CHANGES;
        changes::other_type_in_the_wrong_order: "CREATE beside a CNAME that the batch deletes afterwards is refused", ORDER_OF_CHANGES;
        changes::second_swap_of_the_same_record_set: "the second of two swaps of the same record set is refused", CHANGE;

        // All or nothing.
        changes::last_create_fails: "if the last CREATE of a batch fails, none of its changes is applied", CHANGE;
        changes::last_delete_fails: "if the last DELETE of a batch fails, none of its changes is applied", CHANGE;

        // Record sets that exclude each other.
        changes::create_of_an_existing_record_set: "CREATE of an existing record set is refused, with the same values and with others", CHANGE;
        changes::duplicate_set_identifier: "CREATE with a set identifier that the group already has is refused", CHANGE_DATA;
        changes::same_set_identifier_of_another_type: "the same set identifier may occur in several types of a name", CHANGE_DATA;
        changes::weighted_beside_simple: "CREATE of a weighted record set beside a simple one is refused", "kubernetes-sigs/external-dns#1411";
        changes::simple_beside_weighted: "CREATE of a simple record set beside a weighted one is refused", "gardener/external-dns-management#513";
        changes::another_ttl_in_a_weighted_group: "CREATE with another TTL than its weighted group is refused", CHANGE_DATA;
        changes::alias_in_a_weighted_group: "an alias may be in a weighted group with another TTL than the alias's target", CHANGE_DATA;
        changes::largest_weighted_group: "a weighted group has at most 100 record sets", CHANGE_DATA;
        changes::cname_beside_another_type: "CREATE of a CNAME beside another type is refused", TYPES;
        changes::another_type_beside_a_cname: "CREATE of another type beside a CNAME is refused", TYPES;
        changes::weighted_cnames: "a name may have several weighted CNAMEs", CHANGE_DATA;
        changes::cname_at_the_apex: "CREATE of a CNAME at the zone's apex is refused", TYPES;
        changes::name_outside_the_zone: "CREATE of a name outside the zone is refused", "kcp-dev/kcp-glbc#475";
        changes::wildcard_ns: "CREATE of an NS record at a wildcard is refused", CHANGE_DATA;
        changes::delete_of_the_zones_ns: "DELETE of the zone's own NS record is refused", OWN_RECORDS;
        changes::delete_of_the_zones_soa: "DELETE of the zone's own SOA record is refused", OWN_RECORDS;
        changes::replacement_of_the_zones_ns: "the zone's own NS record may be replaced in one batch", OWN_RECORDS;

        // Aliases.
        changes::alias_of_a_record_set: "an alias may point to a record set of the zone", ALIAS;
        changes::alias_without_target: "CREATE of an alias to a record set that doesn't exist is refused", "pcorliss/ruby_route_53#17";
        changes::alias_of_another_type: "CREATE of an alias to a record set of another type is refused", ALIAS;
        changes::alias_target_outside_its_zone: "CREATE of an alias is refused if its target is not in its target's hosted zone", "barnybug/cli53#213";
        changes::cname_alias_of_a_load_balancer: "CREATE of a CNAME alias of a load balancer is refused", CHANGE_DATA;

        // Values.
        values::no_value: "CREATE without a value is refused", VALUE;
        values::same_value_twice: "CREATE with the same value twice is refused", "kubernetes-sigs/external-dns#1929";
        values::address_of_the_type: "A accepts only IPv4 addresses, AAAA only IPv6 addresses", TYPES;
        values::two_names_in_a_cname: "CREATE of a CNAME with two values is refused", VALUE;
        values::longest_ttl: "a TTL is at most 2,147,483,647", CHANGE_DATA;
        values::text_without_quotes: "TXT without quotes is refused", TYPES;
        values::longest_string: "a string of a TXT value has at most 255 characters", TYPES;
        values::several_strings: "a TXT value may have several strings, with more than 255 characters in total", TYPES;
        values::longest_value: "a value has at most 4,000 characters", VALUE;
        values::escaped_quotes: "escaped quotes and backslashes in TXT are listed as they were written", TYPES;
        values::bare_quotes: "TXT with an unescaped quote in a string is refused", TYPES;
        values::octal_escapes: "TXT accepts octal escapes for bytes outside ASCII", TYPES;
        values::bytes_without_escape: "TXT with unescaped control characters or bytes outside ASCII is refused", TYPES;

        // Limits of a batch.
        values::empty_batch: "an empty batch is refused", CHANGE;
        values::largest_batch_of_records: "a batch has at most 1,000 ResourceRecord elements", QUOTAS;
        values::largest_batch_of_characters: "a batch has at most 32,000 characters in its values", QUOTAS;
        values::records_of_deletes_count: "ResourceRecord elements of DELETE count once, like those of CREATE", QUOTAS;
        values::characters_of_deletes_count: "characters of DELETE count once, like those of CREATE", QUOTAS;

        // Propagation.
        changes::pending_and_then_in_sync: "a change is PENDING at first, and INSYNC later", GET_CHANGE;
        changes::change_id_with_and_without_prefix: "a change's id starts with `/change/`; GetChange accepts it with and without", "Route 53 API Reference, ChangeInfo and GetChange";
        changes::ids_of_changes_are_unique: "each change has its own id", GET_CHANGE;
        changes::unknown_change: "GetChange of an unknown id says that there is no such change", GET_CHANGE;
    }
}

/// The behaviours that only AWS's client can express.
#[rustfmt::skip]
pub fn behaviours_of_the_api() -> Vec<Behaviour<route53_adapter::Route53Client>> {
    table! {
        api::names_are_listed_in_one_spelling: "names are listed in lower case, with the trailing dot", NAMES;
        api::characters_are_listed_as_escapes: "characters other than a-z, 0-9, - and _ are listed as escapes: `*` as \\052, `@` as \\100", NAMES;
        api::names_are_compared_without_case: "names that differ only in case are the same", NAMES;
        api::names_are_compared_without_the_trailing_dot: "names with and without the trailing dot are the same", CHANGE_DATA;
        api::names_are_compared_without_escapes: "names with a character and with its escape are the same", NAMES;
        api::start_name_in_any_spelling: "a listing may start at a name in any spelling", NAMES;
        api::start_type_without_start_name: "a listing with a start type but no start name is refused", LIST;
        api::weight_over_255: "CREATE with a weight over 255 is refused", CHANGE_DATA;
        api::weight_without_set_identifier: "CREATE with a weight but no set identifier is refused", CHANGE_DATA;
        api::alias_with_ttl: "CREATE of an alias with a TTL is refused", CHANGE_DATA;
        api::missing_health_check: "CREATE with a health check that doesn't exist is refused", CHANGE;
        api::no_ttl: "CREATE of values without a TTL is refused", CHANGE_DATA;
        api::upsert: "UPSERT creates a record set, or replaces the existing one", CHANGE;
        api::upsert_counts_twice: "the ResourceRecord elements of UPSERT count twice", QUOTAS;
        api::largest_page_by_default: "without MaxItems a page has 300 record sets", LIST;
        api::unknown_change_has_a_code: "GetChange of an unknown id is NoSuchChange", GET_CHANGE;
    }
}
