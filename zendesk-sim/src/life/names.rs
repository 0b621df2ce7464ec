//! Names of people: several languages and scripts, and every way a name field is filled in wrong.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A language with its people.
pub struct Culture {
    /// BCP-47.
    pub locale: &'static str,
    /// Rails and IANA names of the zone.
    pub zones: [&'static str; 2],
    /// Country calling code.
    pub calling: &'static str,
    /// Given names.
    pub given: &'static [&'static str],
    /// Family names.
    pub family: &'static [&'static str],
    /// How common in the account.
    pub weight: u32,
}

/// Every language of the account.
pub const CULTURES: &[Culture] = &[
    Culture {
        locale: "en-US",
        zones: ["Eastern Time (US & Canada)", "America/New_York"],
        calling: "+1",
        weight: 30,
        given: &["Ava", "Noah", "Grace", "Liam", "Ruby", "Owen", "Hazel", "Miles", "Nora", "Felix", "Ivy", "Wade"],
        family: &[
            "Whitlock", "Barrows", "Fenwick", "Marlowe", "Tully", "Ashdown", "Corbin", "Hale", "Pruitt", "Stroud",
        ],
    },
    Culture {
        locale: "pt-BR",
        zones: ["Brasilia", "America/Sao_Paulo"],
        calling: "+55",
        weight: 15,
        given: &["Ana", "João", "Luísa", "Thiago", "Conceição", "Rafael", "Beatriz", "Caio", "Iara", "Davi"],
        family: &["Souza", "Araújo", "Magalhães", "Teixeira", "Falcão", "Brandão", "Peixoto", "Siqueira"],
    },
    Culture {
        locale: "de",
        zones: ["Berlin", "Europe/Berlin"],
        calling: "+49",
        weight: 12,
        given: &["Jürgen", "Anneliese", "Björn", "Käthe", "Lukas", "Mareike", "Sönke", "Ulrike", "Fritz", "Grit"],
        family: &["Müller-Lüdenscheid", "Großmann", "Schäfer", "Weiß", "Köhler", "von der Heide", "Brandt", "Öztürk"],
    },
    Culture {
        locale: "fr",
        zones: ["Paris", "Europe/Paris"],
        calling: "+33",
        weight: 8,
        given: &["Zoé", "Théo", "Maëlle", "Jean-Luc", "Chloé", "Anaïs", "Loïc", "Hélène"],
        family: &["d'Aubigny", "Lefèvre", "Bézier", "Garnier", "L'Hostis", "Châtelain", "Noël"],
    },
    Culture {
        locale: "es",
        zones: ["Madrid", "Europe/Madrid"],
        calling: "+34",
        weight: 8,
        given: &["Íñigo", "Begoña", "Álvaro", "Noelia", "María del Carmen", "Óscar", "Lucía"],
        family: &["Ibáñez Roldán", "Peña", "Zúñiga", "Cabello", "de la Fuente", "Muñoz Arce"],
    },
    Culture {
        locale: "uk",
        zones: ["Kyiv", "Europe/Kiev"],
        calling: "+380",
        weight: 5,
        given: &["Олена", "Тарас", "Соломія", "Богдан", "Любов", "Остап"],
        family: &["Шевчук", "Бондаренко", "Ковальчук", "Гриценко", "Мельник"],
    },
    Culture {
        locale: "ru",
        zones: ["Moscow", "Europe/Moscow"],
        calling: "+7",
        weight: 3,
        given: &["Анна", "Пётр", "Семён", "Дарья"],
        family: &["Иванова", "Воробьёв", "Щукин", "Ёлкина"],
    },
    Culture {
        locale: "ja",
        zones: ["Tokyo", "Asia/Tokyo"],
        calling: "+81",
        weight: 6,
        given: &["さくら", "健太", "ハルカ", "美咲", "大輔"],
        family: &["佐々木", "渡辺", "小林", "タナカ", "高橋"],
    },
    Culture {
        locale: "zh-CN",
        zones: ["Beijing", "Asia/Shanghai"],
        calling: "+86",
        weight: 5,
        given: &["小梅", "志强", "丽华", "建国", "雨桐"],
        family: &["欧阳", "王", "李", "诸葛", "陈"],
    },
    Culture {
        locale: "ko",
        zones: ["Seoul", "Asia/Seoul"],
        calling: "+82",
        weight: 3,
        given: &["지우", "민서", "하준", "서연"],
        family: &["김", "이", "박", "최"],
    },
    Culture {
        locale: "ar",
        zones: ["Riyadh", "Asia/Riyadh"],
        calling: "+966",
        weight: 5,
        given: &["فاطمة", "محمد", "ليلى", "يوسف"],
        family: &["الحربي", "بن سعيد", "الزهراني", "عبد الله"],
    },
];

/// Draws one of a list.
pub fn pick<'a, T: ?Sized>(rng: &mut ChaCha8Rng, from: &'a [&'a T]) -> &'a T {
    from[rng.random_range(0..from.len())]
}

/// Draws a language by how common it is.
pub fn culture(rng: &mut ChaCha8Rng) -> &'static Culture {
    let total: u32 = CULTURES.iter().map(|culture| culture.weight).sum();
    let mut left = rng.random_range(0..total);
    for culture in CULTURES {
        if left < culture.weight {
            return culture;
        }
        left -= culture.weight;
    }
    &CULTURES[0]
}

/// A proper name.
pub fn proper(rng: &mut ChaCha8Rng, culture: &Culture) -> String {
    let (given, family) = (pick(rng, culture.given), pick(rng, culture.family));
    match culture.locale {
        "zh-CN" | "ko" => format!("{family}{given}"),
        "ja" => format!("{family} {given}"),
        _ => format!("{given} {family}"),
    }
}

/// An address for a name: ASCII letters, and a number that makes it unique.
pub fn email(rng: &mut ChaCha8Rng, name: &str, number: usize) -> String {
    let plain: String = name.chars().map(plain).collect();
    let stem: Vec<_> = plain.split('.').filter(|part| !part.is_empty()).take(2).collect();
    let stem = if stem.is_empty() { "kunde".to_owned() } else { stem.join(".") };
    let host = pick(rng, &["example.com", "mail.example", "example.org", "post.example.net", "correo.example"]);
    let plus = if rng.random_bool(0.12) { pick(rng, &["+shop", "+support", "+test", "+news"]) } else { "" };
    let address = format!("{stem}{number}{plus}@{host}");
    if rng.random_bool(0.06) { capitals(&address) } else { address }
}

fn capitals(address: &str) -> String {
    let mut letters = address.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn plain(letter: char) -> char {
    match letter.to_lowercase().next().unwrap_or(letter) {
        l @ ('a'..='z' | '0'..='9') => l,
        'ä' | 'á' | 'ã' | 'â' | 'à' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ï' => 'i',
        'ö' | 'ó' | 'ô' | 'õ' => 'o',
        'ü' | 'ú' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        'ß' => 's',
        _ => '.',
    }
}

/// A phone: mostly E.164, sometimes as people write them.
pub fn phone(rng: &mut ChaCha8Rng, culture: &Culture) -> String {
    let digits = |rng: &mut ChaCha8Rng, n: usize| -> String {
        (0..n).map(|_| char::from(b'0' + rng.random_range(0..10_u8))).collect()
    };
    let area = rng.random_range(201..989);
    match rng.random_range(0..20) {
        0 => format!("({area}) 555-{}", digits(rng, 4)),
        1 => format!("0{area} / {}", digits(rng, 6)),
        2 => "1-800-FLOWERS".to_owned(),
        3 => format!("00{}{area}{}", &culture.calling[1..], digits(rng, 6)),
        _ => format!("{}{area}555{}", culture.calling, digits(rng, 4)),
    }
}

/// A name as accounts really hold them: mostly proper, the rest in every odd form.
pub fn customer(rng: &mut ChaCha8Rng, culture: &Culture, name: &str, email: Option<&str>, phone: &str) -> String {
    match rng.random_range(0..100) {
        0..=4 => name.split(' ').next().unwrap_or(name).to_owned(),
        5..=8 => email.unwrap_or("webshop").to_owned(),
        9..=10 => format!("Caller {}", with_spaces(phone)),
        11 => phone.to_owned(),
        12..=13 => format!("visitor-{}", rng.random_range(1_600_000_000..1_700_000_000)),
        14 => format!("2024-0{}-1{}T08:30:00.000Z", rng.random_range(1..9), rng.random_range(0..9)),
        15..=17 => format!("{name} {}", pick(rng, culture.family)),
        18 => format!("Dr. {name}"),
        19 => format!("{name} Jr."),
        20 => format!("Herr Prof. {name}, MBA"),
        21 => name.replace(' ', "\u{a0}"),
        22 => name.replace(' ', "  "),
        23 => format!(" {name} "),
        24 => format!("{name} (Customer of the Lisbon branch, please always call before 9 and never write letters)"),
        25..=27 => name.to_lowercase(),
        28 => name.to_uppercase(),
        29 => {
            let (family, given) = (pick(rng, culture.family), pick(rng, culture.given));
            format!("{family}, {given}")
        }
        30 => format!("{name} 🚲"),
        _ => name.to_owned(),
    }
}

fn with_spaces(phone: &str) -> String {
    match phone.get(..2) {
        Some(start) if phone.starts_with('+') => format!("{start} ({}", phone[2..].replacen("555", ") 555-", 1)),
        _ => phone.to_owned(),
    }
}
