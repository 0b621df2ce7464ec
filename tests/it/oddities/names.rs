//! Names that are not a first and a last name.

use super::{customer, odd_customers};
use deskbridge::model::name::NameSplitting;
use deskbridge::model::person::NameGiven;
use deskbridge::rules::name::{NameKind, Split, clean, join, split};
use serde_json::{Value, json};

fn name(user: &Value) -> &str {
    user["name"].as_str().unwrap_or_default()
}

fn named(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| customer(json!({"name": name}))).collect()
}

/// Every odd name is kept as it was written, and splits without losing a word; then `check` sees how. `recorded` is how
/// many the recordings have at least.
fn check(made: &[&str], recorded: usize, odd: impl Fn(&str) -> bool, check: impl Fn(&str, Split, Split)) {
    for (value, person) in odd_customers(named(made), recorded, |user| odd(name(user))) {
        let text = name(&value);
        assert_eq!(person.name, NameGiven::Whole(text.to_owned()));
        assert_eq!(person.fields["zd.name"], text);
        let (plain, smart) = (split(text, NameSplitting::Compat, None), split(text, NameSplitting::Smart, None));
        assert_eq!(join(&plain), clean(text), "{text:?}");
        check(&clean(text), plain, smart);
    }
}

fn words(name: &str) -> usize {
    name.split_whitespace().count()
}

#[test]
fn without_a_space_it_is_a_first_name() {
    let made = ["testUser", "Madonna", "d1b2e3"];
    check(
        &made,
        1,
        |name| words(name) == 1,
        |name, plain, _| {
            assert_eq!((plain.first.as_deref(), plain.last), (Some(name), None));
        },
    );
}

#[test]
fn an_address_is_no_name_when_split_smartly() {
    let is_address = |name: &str| words(name) == 1 && name.contains('@') && name.ends_with(|c: char| c.is_alphabetic());
    check(&["ana+shop@x.example", "A@b.example"], 1, is_address, |name, plain, smart| {
        assert_eq!((smart.kind, smart.first, smart.last), (NameKind::Email, None, None), "{name}");
        assert_eq!(plain.first.as_deref(), Some(name));
    });
}

#[test]
fn a_number_or_a_caller_is_no_name_when_split_smartly() {
    let is_phone = |name: &str| {
        let number = name.trim_start_matches("Caller ");
        number.starts_with('+') && number[1..].chars().all(|c| c.is_ascii_digit() || " ()-".contains(c))
    };
    check(&["Caller +1 (415) 555-0100", "+351 211 111 111"], 1, is_phone, |name, plain, smart| {
        assert_eq!((smart.kind, smart.first, smart.last), (NameKind::Phone, None, None), "{name}");
        assert_eq!(join(&plain), name);
    });
}

#[test]
fn a_time_or_a_machine_is_named_as_it_stands() {
    let has_digits = |name: &str| name.chars().filter(char::is_ascii_digit).count() >= 8 && !name.contains('@');
    check(&["2023-09-18 23:26:00 UTC", "host-00213.rack12345.example"], 1, has_digits, |_, _, _| {});
}

#[test]
fn of_three_words_the_first_is_the_first_name() {
    check(
        &["Maria da Silva Santos", "Jan  van der  Berg"],
        1,
        |name| words(name) >= 3,
        |name, plain, _| {
            let (first, last) = name.split_once(' ').expect("a space");
            assert_eq!((plain.first.as_deref(), plain.last.as_deref()), (Some(first), Some(last)));
        },
    );
}

#[test]
fn honorifics_and_suffixes_are_told_apart_when_split_smartly() {
    let bare = |word: Option<&str>| word.unwrap_or_default().trim_matches(['.', ',']).to_lowercase();
    let is_honorific =
        |name: &str| ["mr", "mrs", "ms", "miss", "dr", "prof"].contains(&bare(name.split(' ').next()).as_str());
    let is_suffix =
        |name: &str| ["jr", "sr", "ii", "iii", "md", "phd"].contains(&bare(name.split(' ').next_back()).as_str());
    let made = ["Dr. Ana Lima", "Mrs Smith", "Ana Lima Jr.", "Ana Lima, PhD"];
    let odd = |name: &str| words(name) > 1 && (is_honorific(name) || is_suffix(name));
    check(&made, 1, odd, |name, _, smart| {
        assert_eq!(smart.prefix.is_some(), is_honorific(name), "{name}");
        assert_eq!(smart.kind, NameKind::Person, "{name}");
        assert!(!is_suffix(name) || is_suffix(smart.last.as_deref().unwrap_or_default()), "{name}");
    });
}

#[test]
fn cyrillic_names_split_as_others_do() {
    let cyrillic = |name: &str| name.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c));
    check(&["Анна Иванова", "Олексій"], 1, cyrillic, |name, plain, smart| {
        assert_eq!(plain, smart);
        assert_eq!(plain.first.as_deref(), name.split(' ').next());
    });
}

#[test]
fn names_of_more_than_sixty_characters_are_kept_whole() {
    let long = "x".repeat(61);
    let spaced = format!("{} {}", "Ana".repeat(20), "Lima".repeat(30));
    check(&[&long, &spaced], 0, |name| name.chars().count() > 60, |name, plain, _| assert_eq!(join(&plain), name));
}
