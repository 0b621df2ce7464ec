//! What customers and agents write, in several languages, with all that breaks careless readers.
use super::names::pick;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What people of one language write.
struct Tongue {
    locale: &'static str,
    openings: &'static [(&'static str, &'static str)],
    replies: &'static [&'static str],
    answers: &'static [&'static str],
}

const TONGUES: &[Tongue] = &[
    Tongue {
        locale: "en-US",
        openings: &[
            (
                "Where is my order #{n}?",
                "Hi,\r\n\r\nI ordered a tent two weeks ago (order #{n}) and it still has not arrived.\r\n\r\nThanks!",
            ),
            ("Broken spoke 😡", "The rear wheel of my bike arrived with a broken spoke.\nCan you send a new one?"),
            ("Refund for {n}", "I sent the kayak back last Monday & still wait for the refund. Order {n}, 149.00 USD."),
            ("Change of address", "Please ship {n} to my new address:\r\n12 Mill Lane\r\nSpringfield"),
            ("Invoice", "Could I have the invoice for <b>order {n}</b> as PDF? The link says &quot;not found&quot;."),
            ("Size question", "Is the rain jacket\u{a0}M rather small? I am 1.83\u{a0}m tall 🙂"),
        ],
        replies: &[
            "Thank you, that works!",
            "Any news?",
            "I tried, but it is still the same: error 0x80070005.",
            "Great 🎉 thanks a lot",
            "No, that is not what I asked for.\r\n\r\n> Please send us a photo\r\n\r\nI already did!",
            "ok",
            "See the attached photo.",
        ],
        answers: &[
            "Hello, thank you for writing. I have looked into it and your parcel is on its way.",
            "Could you please send us a photo of the damage?",
            "We have refunded the amount to your card; it takes 3&ndash;5 days.",
            "I am sorry about this. A new part is on its way to you 📦",
        ],
    },
    Tongue {
        locale: "pt-BR",
        openings: &[
            (
                "Pedido {n} não chegou",
                "Olá! Meu pedido {n} deveria ter chegado na sexta-feira. Podem verificar, por favor? 🙏",
            ),
            ("Troca de tamanho", "Comprei o tênis nº 39, mas ficou pequeno. Como faço a troca?"),
            ("Cobrança em duplicidade", "Fui cobrada duas vezes pelo pedido {n}.\r\nR$ 329,90 cada."),
        ],
        replies: &["Obrigada, deu certo!", "Ainda não recebi resposta…", "Segue a foto em anexo.", "Valeu! 😊"],
        answers: &[
            "Oi! Já verifiquei com a transportadora e a entrega será amanhã.",
            "Sentimos muito. O estorno foi solicitado hoje.",
            "Pode nos enviar uma foto do produto, por favor?",
        ],
    },
    Tongue {
        locale: "de",
        openings: &[
            (
                "Lieferung {n} unvollständig",
                "Guten Tag,\r\n\r\nbei meiner Bestellung {n} fehlen die Heringe für das Zelt.\r\n\r\nMit freundlichen Grüßen",
            ),
            ("Rückgabe", "Ich möchte das Kajak zurückgeben. Wohin soll ich es schicken?"),
            (
                "Rechnung für Größe L",
                "Die Rechnung {n} weist 19\u{a0}% aus, bestellt war an die Firma. Bitte korrigieren!",
            ),
        ],
        replies: &[
            "Vielen Dank, das hat geklappt.",
            "Leider noch nichts angekommen.",
            "Im Anhang ein Foto.",
            "Das ist keine Lösung!",
        ],
        answers: &[
            "Vielen Dank für Ihre Nachricht. Die fehlenden Teile gehen heute an Sie heraus.",
            "Bitte entschuldigen Sie die Unannehmlichkeiten.",
            "Könnten Sie uns bitte die Seriennummer nennen?",
        ],
    },
    Tongue {
        locale: "fr",
        openings: &[
            ("Colis {n} perdu ?", "Bonjour,\nle suivi du colis {n} n'a pas bougé depuis dix jours. Où est-il ?"),
            ("Garantie", "La fermeture de ma tente est cassée après une seule nuit. Est-ce sous garantie ?"),
        ],
        replies: &["Merci beaucoup !", "Toujours rien reçu…", "Voici la photo."],
        answers: &[
            "Bonjour, nous avons ouvert une enquête auprès du transporteur.",
            "Un nouveau produit vous est envoyé aujourd'hui.",
        ],
    },
    Tongue {
        locale: "es",
        openings: &[
            ("¿Dónde está mi pedido {n}?", "Hola, ¿podrían decirme cuándo llega el pedido {n}? ¡Gracias!"),
            ("Devolución", "Quiero devolver la bicicleta, el sillín está rayado 😕"),
        ],
        replies: &["¡Muchas gracias!", "Sigo esperando.", "Adjunto la foto."],
        answers: &["Hola, su pedido sale mañana del almacén.", "Lo sentimos mucho; ya hemos pedido el reembolso."],
    },
    Tongue {
        locale: "uk",
        openings: &[
            ("Замовлення {n}", "Добрий день! Де моє замовлення {n}? Чекаю вже тиждень."),
            ("Повернення коштів", "Хочу повернути намет, він протікає ☔"),
        ],
        replies: &["Дякую!", "Ще нічого не отримала."],
        answers: &[
            "Добрий день! Ваше замовлення вже в дорозі.",
            "Перепрошуємо за незручності, кошти повернемо сьогодні.",
        ],
    },
    Tongue {
        locale: "ja",
        openings: &[
            ("注文{n}について", "お世話になっております。注文{n}がまだ届いておりません。ご確認をお願いいたします。"),
            ("サイズ交換", "レインジャケットをＬサイズに交換できますか？"),
        ],
        replies: &["ありがとうございます。", "まだ届いていません。"],
        answers: &[
            "お問い合わせありがとうございます。本日発送いたしました。",
            "ご不便をおかけして申し訳ございません。",
        ],
    },
    Tongue {
        locale: "zh-CN",
        openings: &[
            ("订单{n}还没收到", "你好，我的订单{n}已经两周了还没有收到，请帮忙查一下。谢谢！"),
            ("退款", "帐篷漏水，我要退款 😤"),
        ],
        replies: &["谢谢！", "还是没有收到。"],
        answers: &["您好，您的包裹已经发出。", "非常抱歉，退款将在三天内到账。"],
    },
    Tongue {
        locale: "ar",
        openings: &[
            ("أين طلبي {n}؟", "مرحبا، لم يصل طلبي رقم {n} حتى الآن. شكرا لكم 🙏"),
            ("استرجاع", "أريد إرجاع الدراجة، العجلة مكسورة."),
        ],
        replies: &["شكرا جزيلا", "لم يصل شيء بعد."],
        answers: &["مرحبا، تم شحن طلبكم اليوم.", "نعتذر عن الإزعاج، سيتم رد المبلغ."],
    },
];

const NOTES: &[&str] = &[
    "Called the carrier, they promised an answer by tomorrow.",
    "@team has anybody seen this batch before?",
    "Customer was upset on the phone, please be kind.",
    "Kulanz ist freigegeben.",
    "Refund approved by finance, ref. 20–11.",
    "Third time this week & the same supplier <Nordwind GmbH>.",
];

const TAGS: &[&str] = &[
    "shipping",
    "refund",
    "vip",
    "warranty",
    "web",
    "damage",
    "invoice",
    "öko",
    "priority_customer",
    "returns",
    "b2b",
    "size",
];

fn tongue(locale: &str) -> &'static Tongue {
    TONGUES.iter().find(|tongue| tongue.locale == locale).unwrap_or(&TONGUES[0])
}

/// A subject and first message.
pub fn opening(rng: &mut ChaCha8Rng, locale: &str) -> (String, String) {
    let openings = tongue(locale).openings;
    let (subject, body) = openings[rng.random_range(0..openings.len())];
    let number = rng.random_range(10_000..99_999).to_string();
    (subject.replace("{n}", &number), body.replace("{n}", &number))
}

/// What a customer writes back.
pub fn reply(rng: &mut ChaCha8Rng, locale: &str) -> &'static str {
    pick(rng, tongue(locale).replies)
}

/// What an agent writes.
pub fn answer(rng: &mut ChaCha8Rng, locale: &str) -> &'static str {
    pick(rng, tongue(locale).answers)
}

/// What agents write to each other.
pub fn note(rng: &mut ChaCha8Rng) -> &'static str {
    pick(rng, NOTES)
}

/// Up to three tags.
pub fn tags(rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut tags: Vec<String> = (0..rng.random_range(0..4)).map(|_| pick(rng, TAGS).to_owned()).collect();
    tags.sort();
    tags.dedup();
    tags
}

/// What a customer says with a rating, if anything.
pub fn verdict(rng: &mut ChaCha8Rng, good: bool) -> Option<&'static str> {
    let words: &[&str] = match good {
        true => &["Very quick, thank you!", "Super Service 👍", "Ótimo atendimento", "親切でした", "Merci !"],
        false => &[
            "Took two weeks…",
            "Niemand hat meine Frage gelesen.",
            "Péssimo.",
            "Nobody answered my question &amp; I had to call",
        ],
    };
    rng.random_bool(0.6).then(|| pick(rng, words))
}
