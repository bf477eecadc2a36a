use proptest::prelude::*;

use super::*;
use crate::smpp::pdu::Deliver;

fn by_text(text: &str) -> Deliver<'_> {
    Deliver {
        esm_class: SMSC_RECEIPT,
        text: text.as_bytes(),
        ..Deliver::default()
    }
}

fn told_by(text: &str, ids: Ids) -> Option<(String, ReceiptKind)> {
    told(&by_text(text), ids).map(|receipt| (receipt.provider_message_id.into(), receipt.kind))
}

const WHOLE: &str =
    "id:0000123456 sub:001 dlvrd:001 submit date:2611271200 done date:261127120059 stat:DELIVRD err:000 Text:Your";

#[test]
fn a_receipt_is_read_in_every_way_that_it_is_written() {
    let delivered = Some(("123456".to_owned(), ReceiptKind::Delivered));
    for text in [
        WHOLE,
        &WHOLE.to_lowercase(),
        &WHOLE.to_uppercase(),
        "stat:DELIVRD id:123456",
        "id:123456,sub:001,dlvrd:001,stat:DELIVRD,err:000",
        "id=123456;stat=DELIVERED",
        "123456,001,001,2611271200,2611271201,DELIVRD,000,text",
        "id:123456 stat:DELIVRD text:id:9 stat:UNDELIV err:1",
    ] {
        assert_eq!(told_by(text, Ids::Same), delivered, "{text}");
    }
    let wide: Vec<u8> = WHOLE.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let deliver = Deliver {
        text: &wide,
        data_coding: 8,
        ..by_text("")
    };
    assert_eq!(told(&deliver, Ids::Same).unwrap().kind, ReceiptKind::Delivered);
}

#[test]
fn hexadecimal_and_decimal_ids_meet() {
    assert_eq!(Ids::HexThenDecimal.of_answer(b"1E240").as_deref(), Some("123456"));
    assert_eq!(told_by(WHOLE, Ids::HexThenDecimal).unwrap().0, "123456");
    assert_eq!(Ids::DecimalThenHex.of_answer(b"0123456").as_deref(), Some("123456"));
    assert_eq!(told_by("id:0001E240 stat:DELIVRD", Ids::DecimalThenHex).unwrap().0, "123456");
    assert_eq!(Ids::Same.of_answer(b"00AbCd"), Ids::Same.of_text(b"00aBcD"));
    assert_ne!(Ids::Same.of_answer(b"x-AbCd"), Ids::Same.of_text(b"x-aBcD"));
    assert_eq!(Ids::Same.of_answer(b"000").as_deref(), Some("0"));
    assert_eq!(Ids::Same.of_answer(b""), None);
    assert_eq!(Ids::Same.of_answer(&[0xff]), None);
}

#[test]
fn options_go_before_the_text_and_name_a_message_as_the_answer_did() {
    let deliver = Deliver {
        receipted_message_id: Some(b"1E240"),
        message_state: Some(5),
        network_error: Some(8),
        ..by_text(WHOLE)
    };
    let receipt = told(&deliver, Ids::HexThenDecimal).unwrap();
    assert_eq!(&*receipt.provider_message_id, "123456");
    let ReceiptKind::Failed(failure) = receipt.kind else {
        panic!("it failed")
    };
    assert_eq!(&*failure.code, "UNDELIV 8");
    // Some write the same into both.
    let deliver = Deliver {
        receipted_message_id: Some(b"0000123456"),
        message_state: Some(2),
        ..by_text(WHOLE)
    };
    assert_eq!(&*told(&deliver, Ids::HexThenDecimal).unwrap().provider_message_id, "123456");
    // And some mark a receipt by nothing else.
    assert!(told(&Deliver { esm_class: 0, ..deliver }, Ids::Same).is_some());
}

#[test]
fn only_what_the_smsc_marks_as_a_receipt_is_one() {
    for esm_class in [0, 0x08, 0x10, 0x40] {
        let somebodys = Deliver {
            esm_class,
            ..by_text(WHOLE)
        };
        assert_eq!(told(&somebodys, Ids::Same), None, "{esm_class:#x}");
    }
}

#[test]
fn every_state_is_what_the_reference_says() {
    let failed = |text| match told_by(text, Ids::Same).unwrap().1 {
        ReceiptKind::Failed(failure) => failure.code.into_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(failed("id:1 stat:UNDELIV err:001"), "UNDELIV 001");
    assert_eq!(failed("id:1 stat:EXPIRED"), "EXPIRED");
    assert_eq!(failed("id:1 stat:DELETED err:0123456789"), "DELETED");
    assert_eq!(failed("id:1 stat:REJECTD"), "REJECTD");
    for on_its_way in ["ENROUTE", "ACCEPTD"] {
        let text = format!("id:1 stat:{on_its_way}");
        assert_eq!(told_by(&text, Ids::Same).unwrap().1, ReceiptKind::Sent);
    }
    for nothing in [
        "id:1 stat:UNKNOWN",
        "id:1 stat:WHATEVER",
        "stat:DELIVRD",
        "id: stat:DELIVRD",
        "",
    ] {
        assert_eq!(told_by(nothing, Ids::Same), None, "{nothing}");
    }
    let on_the_way = |text| {
        told(
            &Deliver {
                esm_class: INTERMEDIATE,
                ..by_text(text)
            },
            Ids::Same,
        )
    };
    assert_eq!(on_the_way("id:1 stat:UNDELIV"), None);
    assert_eq!(on_the_way("id:1 stat:ENROUTE").unwrap().kind, ReceiptKind::Sent);
}

proptest! {
    #[test]
    fn any_delivery_is_a_receipt_or_none(
        esm_class: u8, data_coding: u8, text in prop::collection::vec(any::<u8>(), 0..600),
        id in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)), message_state: Option<u8>, network_error: Option<u16>,
    ) {
        let deliver = Deliver {
            esm_class, data_coding, text: &text, receipted_message_id: id.as_deref(), message_state, network_error,
        };
        for ids in [Ids::Same, Ids::HexThenDecimal, Ids::DecimalThenHex] {
            let _told = told(&deliver, ids);
        }
    }

    #[test]
    fn whatever_surrounds_a_receipt_it_never_panics(before in ".{0,40}", after in ".{0,40}") {
        let _told = told_by(&format!("{before}id:1 stat:DELIVRD{after}"), Ids::Same);
    }
}
