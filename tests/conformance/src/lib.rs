//! What Route 53 does, as one list of behaviours, each with the page of AWS that says so.
//!
//! The tests of this crate hold both stand-ins for Route 53 to it: the strict fake, without
//! exception, and the emulator of the local stack, whose differences stand in a table that a test
//! keeps true (`tests/emulator.rs`). What is believed of Route 53 but not here is believed only.
//!
//! [`behaviours()`] go through the narrow interface that the functions use, and so to both.
//! [`behaviours_of_the_api()`] are about what that interface can't even say (a weight over 255,
//! UPSERT, a name in capitals), and go to the emulator through AWS's own client. Where the
//! documentation is silent but Route 53's answers in public issues are not, the source is an issue.

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

/// A fact about Route 53, and how to find out whether it holds.
#[derive(Clone, Copy)]
pub struct Behaviour<R: 'static> {
    /// The name of the check.
    pub name: &'static str,
    /// What Route 53 does.
    pub says: &'static str,
    /// Where AWS says so.
    pub source: &'static str,
    /// Fails where it does not hold. It is given a zone of its own, with [`known_record_sets`].
    pub check: for<'a> fn(&'a Zone<R>) -> Check<'a>,
}

/// A check under way.
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
/// Route 53's documentation has no word on the order of the changes of a batch; its answers do.
const ORDER_OF_CHANGES: &str = "cookpad/roadworker#89, kubernetes-sigs/external-dns#1411";

/// Makes the list of a table whose rows are `check: "what Route 53 does", SOURCE;`.
macro_rules! table {
    ($($module:ident::$check:ident: $says:literal, $source:expr;)+) => {
        vec![$(Behaviour {
            name: stringify!($check),
            says: $says,
            source: $source,
            check: |zone| Box::pin($module::$check(zone)),
        }),+]
    };
}

/// What Route 53 does, as far as the functions' narrow interface can ask about it.
#[rustfmt::skip]
pub fn behaviours<R: Route53>() -> Vec<Behaviour<R>> {
    table! {
        // The zone.
        listing::zone_counts_its_record_sets: "a zone counts its record sets, each of a weighted group, NS and SOA among them", ZONE;
        listing::unknown_zone: "an unknown zone can be neither read, listed nor changed", ZONE;

        // The order of the listing.
        listing::labels_from_the_right: "names are listed by their labels from the right", LIST;
        listing::dot_counts_in_the_order: "the dot behind a label counts: `a-b` comes before `a`", LIST;
        listing::wildcard_is_listed_as_a_star: "a wildcard comes where `*` does: before hyphens, digits and letters", LIST;
        listing::escape_is_listed_as_its_character: "an escape comes where its character does: `\\041`, a `!`, before digits", LIST;
        listing::types_within_a_name: "the types of a name are listed in ASCII order", LIST;
        listing::weighted_group_stays_together: "the record sets of a weighted group are listed in a row", LIST;
        listing::accepted_changes_are_listed: "a change is listed while it is still PENDING", LIST;

        // Pages.
        listing::start_at_a_name: "a listing that starts at a name begins with it", LIST;
        listing::start_at_a_missing_name: "a listing that starts at a name that doesn't exist begins with the next one", LIST;
        listing::start_behind_the_end: "a listing that starts behind the last name is empty", LIST;
        listing::start_at_a_type: "a listing that starts at a type begins with it, or else with the next one", LIST;
        listing::start_type_is_for_its_name_alone: "a start's type counts at the start's name only", LIST;
        listing::start_at_a_set_identifier: "a listing that starts at a set identifier begins with it", LIST;
        listing::page_is_cut: "a page has MaxItems record sets, and the next page's start is the first one left out", LIST;
        listing::last_page_has_no_next: "a page that ends with the last record set has no next page", LIST;
        listing::page_splits_a_weighted_group: "where a page splits a weighted group, the next one's start has a set identifier", LIST;
        listing::pages_make_up_the_listing: "pages of any size make up the same listing", LIST;
        listing::largest_page: "a page has at most 300 record sets, whatever MaxItems says", LIST;

        // Compare-and-swap.
        changes::delete_of_the_exact_values: "DELETE with exactly the values deletes", CHANGE;
        changes::delete_of_the_exact_alias: "DELETE of an alias with exactly its fields deletes", CHANGE;
        changes::delete_with_another_weight: "DELETE with another weight is refused", CHANGE;
        changes::delete_with_another_ttl: "DELETE with another TTL is refused", CHANGE;
        changes::delete_with_another_value: "DELETE with another value is refused", CHANGE;
        changes::delete_with_a_value_missing: "DELETE with one of two values is refused", CHANGE;
        changes::delete_with_a_text_in_other_case: "DELETE with a text in other case is refused", TYPES;
        changes::delete_with_another_alias_target: "DELETE with another alias target is refused", CHANGE;
        changes::delete_with_another_alias_zone: "DELETE with another zone of the alias target is refused", CHANGE;
        changes::delete_with_other_evaluation: "DELETE with another EvaluateTargetHealth is refused", CHANGE;
        changes::delete_with_another_health_check: "DELETE with another health check is refused", CHANGE;
        changes::delete_without_the_health_check: "DELETE without the health check is refused", CHANGE;
        changes::delete_without_weight: "DELETE of a weighted record set as a simple one is refused", CHANGE;
        changes::delete_with_values_in_another_order: "DELETE takes the values in any order", "RFC 2181, section 5; hashicorp/terraform-provider-aws keeps them as a set";
        changes::delete_of_what_is_missing: "DELETE of what doesn't exist is refused", CHANGE;
        changes::delete_twice: "DELETE of the same record set twice in a batch is refused", CHANGE;
        changes::swap: "DELETE and then CREATE of the same record set in one batch replaces it", CHANGE;
        changes::swap_of_a_whole_name: "DELETE of all record sets of a name and then CREATE of all replaces them", CHANGE;
        changes::swap_in_the_wrong_order: "CREATE and then DELETE of the same record set in one batch is refused", ORDER_OF_CHANGES;
        changes::other_type_in_the_wrong_order: "CREATE beside a CNAME that the batch deletes only then is refused", ORDER_OF_CHANGES;
        changes::second_swap: "the second one of two swaps of the same record set is refused", CHANGE;

        // All or nothing.
        changes::last_create_fails: "a batch whose last CREATE fails applies nothing, earlier DELETEs and CREATEs included", CHANGE;
        changes::last_delete_fails: "a batch whose last DELETE fails applies nothing, earlier DELETEs and CREATEs included", CHANGE;

        // What may stand beside what.
        changes::create_of_what_exists: "CREATE of what exists is refused, with the same values and with others", CHANGE;
        changes::duplicate_set_identifier: "CREATE with a set identifier that the group has is refused", CHANGE_DATA;
        changes::same_set_identifier_of_another_type: "a set identifier may occur once in each type of a name", CHANGE_DATA;
        changes::weighted_beside_simple: "CREATE of a weighted record set beside a simple one is refused", "kubernetes-sigs/external-dns#1411";
        changes::simple_beside_weighted: "CREATE of a simple record set beside a weighted one is refused", "gardener/external-dns-management#513";
        changes::another_ttl_in_a_weighted_group: "CREATE with another TTL than its weighted group is refused", CHANGE_DATA;
        changes::alias_in_a_weighted_group: "an alias may stand in a weighted group whose TTL is not that of its target", CHANGE_DATA;
        changes::largest_weighted_group: "a weighted group has at most 100 record sets", CHANGE_DATA;
        changes::cname_beside_another_type: "CREATE of a CNAME beside another type is refused", TYPES;
        changes::another_type_beside_a_cname: "CREATE of another type beside a CNAME is refused", TYPES;
        changes::weighted_cnames: "weighted CNAMEs may stand beside each other", CHANGE_DATA;
        changes::cname_at_the_apex: "CREATE of a CNAME at the zone's own name is refused", TYPES;
        changes::name_outside_the_zone: "CREATE of a name outside of the zone is refused", "kcp-dev/kcp-glbc#475";
        changes::wildcard_ns: "CREATE of an NS record at a wildcard is refused", CHANGE_DATA;
        changes::own_ns_is_kept: "DELETE of the zone's own NS record is refused", OWN_RECORDS;
        changes::own_soa_is_kept: "DELETE of the zone's own SOA record is refused", OWN_RECORDS;
        changes::own_ns_is_replaced: "the zone's own NS record may be replaced in one batch", OWN_RECORDS;

        // Aliases.
        changes::alias_of_a_record_set: "an alias may stand for a record set of the zone", ALIAS;
        changes::alias_without_target: "CREATE of an alias for a record set that doesn't exist is refused", "pcorliss/ruby_route_53#17";
        changes::alias_of_another_type: "CREATE of an alias for a record set of another type is refused", ALIAS;
        changes::alias_outside_its_zone: "CREATE of an alias whose target is not in the zone it names is refused", "barnybug/cli53#213";
        changes::cname_alias_of_a_load_balancer: "CREATE of an alias of a load balancer that is not A or AAAA is refused", CHANGE_DATA;

        // Values.
        values::no_value: "CREATE without a value is refused", VALUE;
        values::same_value_twice: "CREATE with the same value twice is refused", "kubernetes-sigs/external-dns#1929";
        values::address: "A has IPv4 addresses, AAAA IPv6 addresses", TYPES;
        values::two_names_in_a_cname: "CREATE of a CNAME with two values is refused", VALUE;
        values::longest_ttl: "a TTL is at most 2,147,483,647", CHANGE_DATA;
        values::text_without_quotes: "TXT without quotes is refused", TYPES;
        values::longest_string: "a string of a TXT value has at most 255 characters", TYPES;
        values::several_strings: "a TXT value may have several strings, of more than 255 characters together", TYPES;
        values::longest_value: "a value has at most 4,000 characters", VALUE;
        values::escaped_quotes: "TXT keeps escaped quotes and backslashes as they are written", TYPES;
        values::bare_quotes: "TXT with a quote in a string is refused unless escaped", TYPES;
        values::octal_escapes: "TXT takes bytes outside of ASCII as octal escapes", TYPES;
        values::bytes_without_escape: "TXT with bytes outside of ASCII, or control characters, is refused unless escaped", TYPES;

        // Limits of a batch.
        values::empty_batch: "an empty batch is refused", CHANGE;
        values::largest_batch_of_records: "a batch has at most 1,000 ResourceRecord elements", QUOTAS;
        values::largest_batch_of_characters: "a batch has at most 32,000 characters in its values", QUOTAS;
        values::records_of_deletes_count: "the ResourceRecord elements of DELETE count as those of CREATE do, once", QUOTAS;
        values::characters_of_deletes_count: "the characters of DELETE count as those of CREATE do, once", QUOTAS;

        // Propagation.
        changes::pending_and_then_in_sync: "a change is PENDING at first, and INSYNC later", GET_CHANGE;
        changes::change_ids_are_paths: "a change's id has `/change/` before it, and is known with and without", "Route 53 API Reference, ChangeInfo and GetChange";
        changes::changes_have_ids_of_their_own: "each change has an id of its own", GET_CHANGE;
        changes::unknown_change: "GetChange of an unknown id fails", GET_CHANGE;
    }
}

/// What Route 53 does beyond what the narrow interface can say.
#[rustfmt::skip]
pub fn behaviours_of_the_api() -> Vec<Behaviour<aws_sdk_route53::Client>> {
    table! {
        api::names_are_listed_in_one_spelling: "names are listed in lower case, with the dot at the end", NAMES;
        api::characters_are_listed_as_escapes: "characters of a name but a-z, 0-9, - and _ are listed as escapes, `*` as \\052 and `@` as \\100", NAMES;
        api::names_are_compared_without_case: "names are the same in any case", NAMES;
        api::names_are_compared_without_the_last_dot: "names are the same with and without the dot at the end", CHANGE_DATA;
        api::names_are_compared_without_escapes: "names are the same with a character and with its escape", NAMES;
        api::start_name_in_any_spelling: "a listing may start at a name in any spelling", NAMES;
        api::type_without_name: "a listing that starts at a type without a name is refused", LIST;
        api::weight_over_255: "CREATE with a weight over 255 is refused", CHANGE_DATA;
        api::weight_without_set_identifier: "CREATE with a weight but no set identifier is refused", CHANGE_DATA;
        api::alias_with_ttl: "CREATE of an alias with a TTL is refused", CHANGE_DATA;
        api::missing_health_check: "CREATE with a health check that doesn't exist is refused", CHANGE;
        api::no_ttl: "CREATE of values without a TTL is refused", CHANGE_DATA;
        api::upsert: "UPSERT creates what doesn't exist and replaces what does", CHANGE;
        api::upsert_counts_twice: "the ResourceRecord elements of UPSERT count twice", QUOTAS;
        api::largest_page_by_default: "without MaxItems a page has 300 record sets", LIST;
        api::unknown_change_has_a_code: "GetChange of an unknown id is NoSuchChange", GET_CHANGE;
    }
}
