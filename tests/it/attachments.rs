//! What people send along: files, pictures, recordings, quotes; and what they read when it can't be used.

use std::io::{Cursor, Write as _};

use magpie_sim::dingtalk::{self, Api, Times};
use magpie_sim::feishu::{self, Call};
use magpie_sim::view::{Attachment, AttachmentKind, Speech, Utterance};
use toml::Value;

use crate::harness::endpoint::{Prompt, usual_answer};
use crate::harness::{Backing, Endpoint, Plan, Seat, Stage};

/// The smallest PNG: one pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 6,
    0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 13, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0x60, 0, 0, 0, 2, 0, 1,
    0xe5, 0x27, 0xde, 0xfc, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

async fn stage_with(settings: &[(&str, Value)]) -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model);
    let plan = settings.iter().fold(plan, |plan, (key, value)| plan.set(key, value.clone()));
    (Stage::start(plan).await, model)
}

/// A world whose engine sees pictures.
async fn stage_that_sees() -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    (Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model).vision()).await, model)
}

/// Files reach robots in direct chats only on DingTalk.
fn directs(stage: &Stage) -> [Seat; 2] {
    [stage.feishu_direct(), stage.dingtalk_direct()]
}

impl Seat {
    /// Sends a file, picture or recording; `text` is what goes with it where the platform has that.
    async fn send(&self, kind: AttachmentKind, name: &str, bytes: impl Into<Vec<u8>>, text: &str) {
        let attachment = Some(Attachment { kind, name: name.to_owned(), bytes: bytes.into().into() });
        self.speak_with(Speech { attachment, ..self.speech(text) }).await;
    }

    async fn quoting(&self, quoted: &str, text: &str) {
        self.speak_with(Speech { quote: Some(quoted.to_owned()), ..self.speech(text) }).await;
    }

    fn speech(&self, text: &str) -> Speech {
        let (chat, user) = (self.chat.clone(), self.user.clone());
        let direct = self.platform.chats().iter().any(|chat| chat.id == self.chat && chat.direct);
        Utterance { chat, user, text: text.to_owned(), mention_bot: !direct }.into()
    }

    async fn speak_with(&self, speech: Speech) {
        let pushed = self.platform.speak(speech).await;
        assert_eq!(pushed.status, 200, "on {}: {}", self.platform.name(), pushed.answer);
    }
}

/// The one prompt that an answered message led to since `before` of them.
async fn prompt_after(seat: &Seat, model: &Endpoint, before: usize) -> Prompt {
    seat.finished("is here.").await;
    let prompts = model.prompts();
    assert_eq!(prompts.len(), before + 1, "one question: {prompts:?}");
    prompts[before].clone()
}

fn docx(text: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let document = format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
    );
    for (name, content) in [("[Content_Types].xml", "<Types/>"), ("word/document.xml", &document)] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("a part begins");
        writer.write_all(content.as_bytes()).expect("memory takes everything");
    }
    writer.finish().expect("the archive ends").into_inner()
}

fn pdf(text: &str) -> Vec<u8> {
    let content = format!("BT /F 12 Tf 40 700 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    let mut file = "%PDF-1.7\n".to_owned();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (place, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", place + 1));
    }
    let trailer = format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{}\n%%EOF", objects.len() + 1, file.len());
    (file + &table + &trailer).into_bytes()
}

#[tokio::test]
async fn texts_of_files_become_context_of_the_question() {
    let (stage, model) = stage_with(&[]).await;
    let files = [
        ("notes.txt", "The bridge opens at nine.".to_owned().into_bytes(), "The bridge opens at nine."),
        ("plan.docx", docx("The bridge closes at six."), "The bridge closes at six."),
        ("toll.pdf", pdf("The toll is two coins."), "The toll is two coins."),
    ];
    for seat in directs(&stage) {
        for (name, bytes, text) in &files {
            let before = model.prompts().len();
            seat.say_acknowledged("/new").await;
            stage.tables.settled().await;
            seat.send(AttachmentKind::File, name, bytes.clone(), "").await;
            stage.tables.settled().await;
            let prompts = model.prompts();
            assert_eq!(prompts.len(), before + 1, "{name}: {}", seat.described());
            let question = prompts[before].question();
            assert!(question.contains(text) && question.contains(name), "{name}: {question}");
        }
        // What a file says is still known when the next question comes.
        seat.ask("what is the toll", &usual_answer("what is the toll")).await;
        assert!(model.asked("what is the toll").await.remembers("The toll is two coins."));
    }
}

#[tokio::test]
async fn pictures_are_shown_to_an_engine_that_sees() {
    let (stage, model) = stage_that_sees().await;
    for seat in directs(&stage) {
        let before = model.prompts().len();
        seat.send(AttachmentKind::Image, "bird.png", PNG, "").await;
        let prompt = prompt_after(&seat, &model, before).await;
        assert_eq!(prompt.images.len(), 1, "{prompt:?}");
        assert!(prompt.images[0].starts_with("data:image/png;base64,iVBORw0KGgo"), "{prompt:?}");
        assert!(!prompt.question().is_empty());
    }
    // A picture beside words.
    let group = stage.dingtalk_group();
    group.send(AttachmentKind::Image, "bird.png", PNG, "which bird").await;
    let prompt = model.asked("which bird").await;
    assert_eq!(prompt.images.len(), 1, "{prompt:?}");
    group.finished("which bird").await;
}

#[tokio::test]
async fn without_an_engine_that_sees_a_picture_gets_one_clear_sentence() {
    let (stage, model) =
        stage_with(&[("bots.helpdesk.language", "en".into()), ("bots.it.language", "en".into())]).await;
    for seat in directs(&stage) {
        seat.send(AttachmentKind::Image, "bird.png", PNG, "").await;
        seat.finished("No model here can see pictures.").await;
        assert_eq!(seat.answers().len(), 1, "{}", seat.described());
    }
    assert!(model.prompts().is_empty(), "nothing is asked: {:?}", model.prompts());
    // Words beside it are answered, with the sentence beside the answer.
    let group = stage.dingtalk_group();
    group.send(AttachmentKind::Image, "bird.png", PNG, "which bird").await;
    let answer = group.finished(&usual_answer("which bird")).await;
    assert!(format!("{} {}", answer.markdown, answer.note).contains("can see pictures"), "{answer:?}");
}

#[tokio::test]
async fn recordings_are_heard_by_the_endpoint_or_by_the_platform() {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model);
    let plan =
        plan.set("model.transcription.base_url", model.base_url.as_str()).set("model.transcription.model", "ear");
    let stage = Stage::start(plan.set("bots.helpdesk.language", "en").set("bots.it.language", "en")).await;
    model.hears("when does the bridge open");
    let feishu = stage.feishu_direct();
    feishu.send(AttachmentKind::Voice, "voice.opus", b"OggS and so on".to_vec(), "").await;
    feishu.finished(&usual_answer("when does the bridge open")).await;
    let form = String::from_utf8_lossy(&model.recordings()[0]).into_owned();
    assert!(form.contains("OggS and so on") && form.contains("ear"), "{form}");

    let dingtalk = stage.dingtalk_direct();
    dingtalk.send(AttachmentKind::Voice, "voice.amr", b"#!AMR".to_vec(), "when does it close").await;
    dingtalk.finished(&usual_answer("when does it close")).await;
    assert_eq!(model.recordings().len(), 1, "what the platform has written down is not listened to");
    // What the platform did not understand is.
    dingtalk.send(AttachmentKind::Voice, "voice.amr", b"#!AMR".to_vec(), "").await;
    dingtalk.finished(&usual_answer("when does the bridge open")).await;
    model.hears(" ");
    feishu.send(AttachmentKind::Voice, "voice.opus", b"OggS silence".to_vec(), "").await;
    feishu.finished("I heard nobody speak").await;
}

#[tokio::test]
async fn without_a_transcriber_a_recording_gets_one_clear_sentence() {
    let (stage, model) =
        stage_with(&[("bots.helpdesk.language", "en".into()), ("bots.it.language", "en".into())]).await;
    for seat in directs(&stage) {
        seat.send(AttachmentKind::Voice, "voice.opus", b"OggS".to_vec(), "").await;
        seat.finished("I can't listen to voice messages here.").await;
        assert_eq!(seat.answers().len(), 1, "{}", seat.described());
    }
    assert!(model.prompts().is_empty());
}

#[tokio::test]
async fn forwarded_messages_and_quotes_become_context() {
    let (stage, model) = stage_with(&[]).await;
    let seat = stage.feishu_group();
    let (chat, user) = (seat.chat.as_str(), seat.user.as_str());
    let direct = stage.feishu_direct();
    let children = vec![feishu::Said::text(chat, user, "the toll rose"), feishu::Said::text(chat, user, "by one coin")];
    let pushed = stage.feishu.send(feishu::Said::merge_forward(&direct.chat, user, children)).await;
    assert_eq!(pushed.status, 200);
    let prompt = prompt_after(&direct, &model, 0).await;
    assert!(prompt.question().contains("the toll rose") && prompt.question().contains("by one coin"), "{prompt:?}");

    for seat in stage.groups() {
        let name = seat.platform.name();
        let said = seat.say_without_mention(&format!("tolls rise on {name}")).await.id;
        let question = format!("is that so on {name}");
        seat.quoting(&said, &question).await;
        let prompt = model.asked(&question).await;
        assert!(prompt.question().contains(&format!("> tolls rise on {name}")), "{name}: {prompt:?}");
        let answer = seat.finished(&question).await;
        // The bot's own card.
        let question = format!("what do you mean on {name}");
        seat.quoting(&answer.id, &question).await;
        seat.finished(&question).await;
        let prompt = model.asked(&question).await;
        assert!(prompt.remembers(&format!("is that so on {name}")), "{name}: {prompt:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_is_named_in_one_sentence() {
    let (stage, model) = stage_with(&[
        ("files.max_bytes", "1MiB".into()),
        ("bots.helpdesk.language", "en".into()),
        ("bots.it.language", "en".into()),
    ])
    .await;
    for seat in directs(&stage) {
        seat.send(AttachmentKind::File, "huge.txt", vec![b'x'; 1_100_000], "").await;
        seat.finished("The file \"huge.txt\" is too large.").await;
        seat.send(AttachmentKind::File, "tool.exe", b"MZ\x90\0\x03\0\0\0".to_vec(), "").await;
        seat.finished("I can't read the file \"tool.exe\".").await;
        assert_eq!(seat.answers().len(), 2, "{}", seat.described());
    }
    assert!(model.prompts().is_empty());
}

#[tokio::test]
async fn what_can_not_be_downloaded_is_said_and_the_words_beside_it_are_answered() {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite)
        .cloud("primary", &model)
        .vision()
        .set("bots.helpdesk.language", "en")
        .set("bots.it.language", "en");
    let stage = Stage::start(plan).await;
    let [feishu, dingtalk] = directs(&stage);
    let download = feishu::Target::Only(Call::Download);
    let faults = [feishu::Fault::ServerError(502), feishu::Fault::Refused { status: 404, code: 234_003 }];
    for (number, fault) in faults.into_iter().enumerate() {
        stage.feishu.faults().always(download, fault);
        let name = format!("lost{number}.txt");
        feishu.send(AttachmentKind::File, &name, b"text".to_vec(), "").await;
        feishu.finished(&format!("The file \"{name}\" could not be fetched.")).await;
        stage.feishu.faults().clear();
    }
    let storage = dingtalk::Target::Api(Api::FileDownload);
    stage.dingtalk.faults().inject(storage, dingtalk::Fault::ServerError, Times::Always);
    dingtalk.send(AttachmentKind::File, "lost.txt", b"text".to_vec(), "").await;
    dingtalk.finished("The file \"lost.txt\" could not be fetched.").await;
    assert!(model.prompts().is_empty());

    let group = stage.dingtalk_group();
    group.send(AttachmentKind::Image, "bird.png", PNG, "which bird").await;
    let answer = group.finished(&usual_answer("which bird")).await;
    assert!(format!("{} {}", answer.markdown, answer.note).contains("could not be fetched"), "{answer:?}");
    assert!(model.asked("which bird").await.images.is_empty());
}
