//! The traps that other BGP speakers fell into, each with the story that shows we do not. `speaker.md` 2.4 lists
//! them; where a story exists already beside the code it is about, it is named here and not told twice.
//!
//! | trap | clause | story |
//! |---|---|---|
//! | MED is compared inside one neighbouring AS, in any order of arrival | RFC 4271 §9.1.2.2 c | `med_compares_inside_one_neighbouring_as_only_and_the_order_of_arrival_does_not_matter` |
//! | a path with a lower MED gives back what it took | RFC 4271 §9.1.2.2 c | `a_path_with_a_lower_med_gives_back_what_it_took_when_it_goes` |
//! | MED of our own routes | RFC 4271 §9.1.2.2 c | `med_of_our_own_routes_compares_as_of_one_as` |
//! | the neighbouring AS behind a confederation | RFC 5065 §5.3 | `through_a_confederation_the_neighbour_is_the_first_as_outside` |
//! | oscillation | RFC 3345 | `the_oscillation_of_rfc_3345_settles_for_a_router_that_sees_all_paths` |
//! | a replacement with our AS in its path takes the old route away | RFC 4271 §9.1.2 | `a_replacement_that_is_not_eligible_takes_the_old_route_away` |
//! | so does one that was reflected in a circle | RFC 4456 §8 | `a_replacement_that_was_reflected_in_a_circle_takes_the_old_route_away` |
//! | so does one that is malformed | RFC 7606 §2 | `a_replacement_that_is_malformed_takes_the_old_route_away` |
//! | so does one that policy rejects | RFC 4271 §9.1.1 | `a_replacement_that_policy_rejects_takes_the_old_route_away` |
//! | so does one that leaks | RFC 9234 §5 | `a_replacement_that_leaks_takes_the_old_route_away` |
//! | and the next best one takes over at once | RFC 4271 §9.1.2 | `when_a_replacement_is_no_good_the_next_best_route_takes_over` |
//! | a collision is decided on the OPEN, by identifier | RFC 4271 §6.8 | `the_connection_of_the_greater_identifier_stays_whichever_open_comes_first` |
//! | a late attempt does not end what is nearly up | RFC 4271 §6.8 | `an_attempt_that_succeeds_late_is_dropped_before_its_open` |
//! | Established wins without graceful restart | RFC 4271 §6.8 | `an_established_session_stays_and_the_new_connection_is_told` |
//! | with it a new connection means that the old one died | RFC 4724 §5 | `with_graceful_restart_a_new_connection_means_that_the_old_one_died` |
//! | equal identifiers: the larger AS wins, at both ends | RFC 6286 §2.3 | `equal_identifiers_are_decided_by_the_greater_as`, `a_collision_costs_no_flap_however_far_apart_the_two_begin` |
//! | the loser's end never tears the winner down | RFC 4271 §6.8 | `the_loser_s_end_never_ends_the_winner` |
//! | identifier 0, or our own inside our AS | RFC 6286 §2.2 | `what_is_wrong_with_an_open_is_told_with_its_code_and_in_words` |
//! | our own identifier from another AS is legal | RFC 6286 §2.1 | `legal_but_unusual_opens_are_accepted` |
//! | hold time 0: no keepalives, and a silent OpenConfirm still ends | RFC 4271 §4.2 | `a_hold_time_of_zero_means_no_keepalives_and_no_hold_timer`, `a_hold_time_of_zero_does_not_keep_a_silent_neighbour_in_open_confirm` |
//! | the smaller hold time counts, a third of it between keepalives | RFC 4271 §4.4 | `the_smaller_hold_time_counts`, `keepalives_leave_at_a_third_of_the_hold_time_at_the_latest` |
//! | a table dump starves no keepalive, and is cut inside no message | RFC 4271 §4.4 | `a_keepalive_overtakes_a_table_dump_between_two_messages_and_never_inside_one` |
//! | no NOTIFICATION inside a message that was begun | RFC 4271 §4.1 | `dropping_the_table_keeps_the_rest_of_the_message_that_was_begun` |
//! | a peer that blasts takes no keepalives from another | RFC 4271 §4.4 | `a_peer_that_blasts_is_slowed_down_and_the_keepalives_of_another_go_on` |
//! | every one of many peers that come at once is answered | RFC 4271 §8.2.2 | `hundreds_of_passive_peers_come_at_once_and_all_are_met` |
//! | the send hold time: eight minutes, or twice a long hold time | RFC 9687 §5 | `a_neighbour_that_reads_nothing_for_eight_minutes_is_dropped`, `the_send_hold_time_is_twice_a_long_hold_time` |
//! | UPDATE before Established is an FSM error | RFC 6608 §3 | `every_state_answers_every_event_as_the_table_says`, `an_unexpected_message_is_named_in_the_notification` |
//! | capabilities repeat, in one parameter or many; extended lengths | RFC 5492 §4, RFC 9072 | `the_open_table`, `of_several_graceful_restart_capabilities_the_last_one_counts`, `the_extended_encoding_begins_where_one_octet_ends` |
//! | one attempt without capabilities after 2/7 | RFC 5492 §3 | `a_neighbour_that_refuses_capabilities_gets_one_attempt_without` |
//! | no multiprotocol capability: IPv4 unicast, both ways | RFC 4760 §8 | `a_neighbour_that_names_no_family_exchanges_ipv4_unicast_both_ways` |
//! | ADD-PATH per family and direction | RFC 7911 §4 | `add_path_works_per_family_and_direction` |
//! | long messages once both said so | RFC 8654 §4 | `a_capability_holds_once_both_said_it`, `a_length_beyond_what_was_announced_ends_the_session` |
//! | IPv6 next hops for IPv4 once agreed | RFC 8950 §4 | `ipv6_next_hops_for_ipv4_are_offered_on_ipv6_transport_or_where_configured`, `next_hops_of_the_other_address_family` |
//! | AS_TRANS in the fixed part of OPEN | RFC 6793 §4.1 | `an_as_of_four_octets_is_as_trans_in_the_fixed_part` |
//! | AS4_PATH is merged only where it is not longer | RFC 6793 §4.2.3 | `as4_path_fills_the_tail_of_as_path` |
//! | AS4_PATH is ignored where AGGREGATOR is not AS_TRANS | RFC 6793 §4.2.3 | `an_aggregator_made_later_outdates_both_as4_attributes` |
//! | AS4_PATH is not sent to four-octet speakers | RFC 6793 §4.1 | `what_a_two_octet_speaker_said_leaves_no_as4_attribute_behind` |
//! | a segment holds 255 ASNs, the next one opens another | RFC 4271 §5.1.2 | `a_path_of_255_asns_goes_out_with_a_second_segment` |
//! | extended length from 256 octets on, either way accepted | RFC 4271 §4.3 | `lengths_take_two_octets_above_255_and_a_spent_octet_makes_no_other_route` |
//! | an empty AS_PATH is valid, an empty COMMUNITIES is not | RFC 4271 §5.1.2, RFC 7606 §7.8 | `an_empty_path_is_fine_and_an_empty_list_of_communities_is_not` |
//! | what does not fit is withheld and withdrawn, not sent | RFC 8654 §4 | `a_route_that_fits_no_message_is_withheld_and_the_log_says_so_once` |
//! | a longer message takes what a short one cannot | RFC 8654 §4 | `a_route_for_long_messages_reaches_only_who_agreed_on_them` |
//! | trailing bits of a prefix do not count | RFC 4271 §4.3 | `trailing_bits_of_a_prefix_make_no_other_route` |
//! | next hop self, kept, of the other family | RFC 4271 §5.1.3 | `attributes_on_their_way_out`, `next_hops_of_the_other_address_family` |
//! | a link-local next hop stays on its link | RFC 2545 §3 | `a_link_local_next_hop_stays_on_its_link` |
//! | third-party next hops: kept on a shared subnet only | RFC 4271 §5.1.3 | `neighbours_on_one_subnet_reach_each_other_without_us`, `third_party_next_hops` |
//! | the same prefix twice in one UPDATE is one route | RFC 4271 §4.3 | `a_prefix_named_twice_in_one_update_is_one_route` |
//! | in both fields of one UPDATE it is announced | RFC 4271 §4.3 | `withdrawals_come_first_so_that_a_route_in_both_fields_is_announced` |
//! | a withdrawal of the unknown changes nothing and is told to nobody | RFC 4271 §9 | `a_withdrawal_of_what_nobody_has_is_no_event` |
//! | the path identifier is part of the key | RFC 7911 §2 | `paths_of_one_prefix_live_and_die_by_their_identifiers` |
//! | what is sent with ADD-PATH: never the receiver's own, identifiers that stay | RFC 7911 §3, §5 | `all_paths_are_sent_but_the_receivers_own`, `an_identifier_stays_with_its_path_as_long_as_it_is_told` |
//! | End-of-RIB: per family, behind the last route, without graceful restart too | RFC 4724 §2 | `end_of_rib_follows_the_first_sending_of_each_family`, `a_neighbour_that_is_to_get_nothing_gets_end_of_rib`, `the_end_of_rib_marker_of_every_family` |
//! | without graceful restart nothing outlives its session | RFC 4271 §8.2.2 | `a_session_that_ends_counts_no_more_at_once_and_its_paths_go_in_the_background` |
//! | what a refresh leaves out is purged, at its end or in time | RFC 7313 §4 | `a_refresh_sweeps_what_was_not_sent_again`, `a_refresh_without_an_end_is_ended_by_time` |
//! | families outside the graceful restart capability go with the session | RFC 4724 §4.2 | `families_outside_the_capability_go_with_the_session` |
//! | who did not ask for it is not retained | RFC 4724 §4.2 | `who_did_not_ask_for_it_or_is_not_helped_keeps_nothing` |
//! | who never returns is purged, after its time or ours | RFC 4724 §4.2 | `a_neighbour_that_does_not_return_loses_its_routes_after_its_restart_time_or_ours`, `the_wait_for_end_of_rib_is_bounded` |
//! | stale routes that are not sent again go at End-of-RIB | RFC 4724 §4.2 | `end_of_rib_removes_what_was_not_sent_again_and_others_hear_just_the_difference` |
//! | the restarting speaker defers, and not for ever | RFC 4724 §4.1 | `nothing_is_sent_before_end_of_rib_from_everybody_then_all_and_end_of_rib_behind_it`, `the_wait_is_bounded` |
//! | the F bit: state that was not preserved | RFC 4724 §4.2 | `stale_routes_go_at_once_where_the_state_was_not_preserved` |
//! | a refresh never purges stale routes | RFC 7313 §4 | `a_refresh_removes_omitted_routes_and_never_stale_ones` |
//! | long-lived stale loses to every other | RFC 9494 §4.3 | `long_lived_stale_routes_lose_to_every_other` |
//! | long-lived stale is told to who knows it, whatever families it lists, and withdrawn from others | RFC 9494 §4.3 | `who_told_that_it_knows_long_lived_stale_routes_is_told_them_and_nobody_else` |
//! | NO_LLGR is honoured | RFC 9494 §4.2 | `routes_with_no_llgr_are_kept_for_the_restart_time_only` |
//! | reflection: clients and others, ORIGINATOR_ID and CLUSTER_LIST, next hop untouched even with `next_hop_self` | RFC 4456 §6, §8, §10 | `a_reflector_passes_routes_between_clients_and_the_others`, `reflection_between_clients_and_the_others` |
//! | loops of reflection are recognised by our own cluster id | RFC 4456 §8 | `a_cluster_is_known_by_its_own_id`, `reflection_loops_are_not_eligible` |
//! | a confederation is one AS from outside | RFC 5065 §4.1, §5.2 | `a_confederation_looks_like_one_as_from_outside` |
//! | confederation loops: the member AS inside, the confederation's number outside | RFC 5065 §4 | `confederations_look_for_their_member_as_inside_and_their_number_outside` |
//! | a client's policy hides no path from another client of a route server | RFC 7947 §2.3.1 | `a_policy_against_the_best_path_hides_no_other`, `who_sent_the_best_path_is_told_the_second_best` |
//! | well-known communities, by where a route comes from and where it goes | RFC 1997, RFC 7999 §3.2, RFC 8326 §4.1 | `well_known_communities_by_source_and_receiver`, `graceful_shutdown_makes_a_route_of_another_as_the_last_choice` |
//! | origin validation: the last AS of the path; none behind an AS_SET, ours where the path is empty | RFC 6811 §2 | `origins_are_those_of_rfc_6811_section_2` |
//! | validation data that change are asked of routes already there, without a refresh | RFC 6811 §4 | `a_route_that_becomes_invalid_is_rejected_at_once_and_comes_back_without_a_refresh` |
//! | export policy that asks for validation follows it, too | RFC 8893 §3 | `an_export_policy_that_asks_for_validation_follows_it_and_others_hear_nothing` |
//! | ASPA: upstream or downstream by the role | RFC 9234 §4.1, draft-ietf-sidrops-aspa-verification | `paths_are_verified_in_the_direction_that_the_role_says` |
//! | unknown transitive: kept raw, Partial, low flag bits zero, a part of what makes routes differ | RFC 4271 §5 | `an_unknown_attribute_travels_raw_and_tells_routes_apart` |
//! | every malformed message costs as little as the RFC allows | RFC 7606 | `every_malformed_message_costs_a_live_session_exactly_what_the_rfcs_ask` |

mod paths;
mod replacements;
mod routes;

use ribwatch::wire::bgp::attribute::flag;

/// An UPDATE from its three fields; lengths are filled in.
fn update(withdrawn: &[u8], attributes: &[Vec<u8>], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let field = |octets: &[u8]| [&u16::try_from(octets.len()).expect("short").to_be_bytes()[..], octets].concat();
    let body = [field(withdrawn), field(&attributes), nlri.to_vec()].concat();
    let len = u16::try_from(19 + body.len()).expect("one message");
    [&[0xff; 16][..], &len.to_be_bytes(), &[2], &body].concat()
}

/// One attribute; the length takes two octets where the flags say so.
fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let len = match flags & flag::EXTENDED_LENGTH {
        0 => vec![u8::try_from(value.len()).expect("fits one octet")],
        _ => u16::try_from(value.len()).expect("fits two octets").to_be_bytes().to_vec(),
    };
    [&[flags, code][..], &len, value].concat()
}

/// ORIGIN IGP, an AS_SEQUENCE of four-octet numbers, NEXT_HOP 192.0.2.1.
fn mandatory(path: &[u32]) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    if let Ok(count @ 1..) = u8::try_from(path.len()) {
        segments = [&[2, count][..], &path.iter().flat_map(|asn| asn.to_be_bytes()).collect::<Vec<u8>>()].concat();
    }
    let flags = if segments.len() > 255 { 0x50 } else { 0x40 };
    vec![attribute(0x40, 1, &[0]), attribute(flags, 2, &segments), attribute(0x40, 3, &[192, 0, 2, 1])]
}

/// What it would cost: a table that names stories which nobody tells any more.
#[test]
fn every_story_of_the_table_is_told() {
    let mut sources = String::new();
    let mut folders = vec!["src", "tests/it"].into_iter().map(std::path::PathBuf::from).collect::<Vec<_>>();
    while let Some(folder) = folders.pop() {
        let at = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder);
        for entry in std::fs::read_dir(at).expect("a folder of the tree") {
            let entry = entry.expect("an entry");
            match entry.file_type().expect("a type").is_dir() {
                true => folders.push(folder.join(entry.file_name())),
                false => sources.push_str(&std::fs::read_to_string(entry.path()).unwrap_or_default()),
            }
        }
    }
    let rows: Vec<&str> = include_str!("mod.rs").lines().filter(|line| line.starts_with("//! | ")).skip(1).collect();
    assert!(rows.len() > 40, "only {} rows were found", rows.len());
    for row in rows {
        let stories: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert!(!stories.is_empty() && row.contains("RFC "), "neither story nor clause: {row}");
        for story in stories {
            assert!(sources.contains(&format!("fn {story}(")), "no test is called {story}: {row}");
        }
    }
}
