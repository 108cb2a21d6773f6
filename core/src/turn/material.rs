//! What is attached to a message, made into context: texts of files, what is said in recordings, pictures.
//!
//! Nothing that can't be used is passed over in silence: the person gets a sentence that says what would work.

use tracing::{info, warn};

use super::Turn;
use super::message::Case;
use crate::attachment::{
    AttachedText, Attachments, File, FileText, GatherError, ReadError, TranscriptionError, compose, gather, plain_name,
};
use crate::card::Language;
use crate::engine::Image;
use crate::event::{ContentKind, Message, Resource};
use crate::platform::SendError;
use crate::texts::Text;

/// What was made of a message's attachments.
#[derive(Debug, Default)]
pub(super) struct Material {
    texts: Vec<AttachedText>,
    spoken: Vec<String>,
    pub images: Vec<Image>,
    /// Sentences about what could not be used.
    pub remarks: Vec<String>,
}

/// Why an attachment is not used.
enum Refusal {
    Fetch(GatherError),
    Read(ReadError),
    Hear(TranscriptionError),
    Kind(Text),
}

impl Material {
    /// The question with everything that can be read of it; empty if that is nothing.
    pub fn question(&self, words: &str, language: Language) -> String {
        let mut words = words.to_owned();
        for spoken in &self.spoken {
            if !words.is_empty() {
                words.push('\n');
            }
            words.push_str(spoken);
        }
        if words.is_empty() && self.texts.is_empty() && !self.images.is_empty() {
            return Text::AboutThePicture.of(language);
        }
        compose(&words, &self.texts)
    }
}

/// Where attachments come from, and what can be made of them.
struct Source<'a> {
    attachments: &'a Attachments,
    case: &'a Case<'a>,
    message: &'a Message,
    /// An engine that may be asked understands pictures.
    sees: bool,
}

impl Turn {
    /// Looks at everything attached to a message. `sees`: an engine that may be asked understands pictures.
    pub(super) async fn material(&self, case: &Case<'_>, message: &Message, sees: bool) -> Material {
        let mut material = Material::default();
        let Some(attachments) = &self.attachments else { return material };
        let source = Source { attachments, case, message, sees };
        let most = attachments.settings.max_files;
        // Where the platform wrote down what was said, nobody has to listen.
        let wanted = |resource: &&Resource| resource.kind != ContentKind::Audio || message.text.is_empty();
        let resources: Vec<_> = message.content.resources.iter().filter(wanted).collect();
        for resource in resources.iter().take(most) {
            if let Err(refusal) = source.take_in(resource, &mut material).await {
                let name = resource.name.as_deref().map(plain_name).unwrap_or_default();
                material.remarks.push(remark(&refusal, &name, case.language));
            }
        }
        if resources.len() > most {
            material.remarks.push(Text::TooManyFiles.with(case.language, &[("count", most.into())]));
        }
        material
    }
}

impl Source<'_> {
    async fn take_in(&self, resource: &Resource, material: &mut Material) -> Result<(), Refusal> {
        let Attachments { reader, transcriber, settings } = self.attachments;
        match (&resource.kind, transcriber) {
            (ContentKind::Image, _) if !self.sees => return Err(Refusal::Kind(Text::NoVision)),
            (ContentKind::Image, _) => {
                let picture = Image::new(self.fetch(resource).await?.bytes);
                material.images.push(picture.ok_or(Refusal::Kind(Text::UnknownPicture))?);
            }
            (ContentKind::Audio, None) => return Err(Refusal::Kind(Text::NoHearing)),
            (ContentKind::Audio, Some(transcriber)) => {
                let recording = self.fetch(resource).await?;
                material.spoken.push(transcriber.transcribe(recording).await.map_err(Refusal::Hear)?);
            }
            (ContentKind::File, _) => {
                let file = self.fetch(resource).await?;
                let read = reader.read(file, settings.max_characters);
                let FileText { text, cut, .. } = read.await.map_err(Refusal::Read)?;
                material.texts.push(AttachedText { name: resource.name.clone().unwrap_or_default(), text, cut });
            }
            _ => return Err(Refusal::Kind(Text::UnreadableMessage)),
        }
        Ok(())
    }

    async fn fetch(&self, resource: &Resource) -> Result<File, Refusal> {
        let download = self.case.bot.platform.fetch(self.message, resource).await;
        let download = download.map_err(|error| Refusal::Fetch(error.into()))?;
        let media_type = download.media_type.clone();
        let bytes = gather(download, self.attachments.settings.max_bytes).await.map_err(Refusal::Fetch)?;
        info!(kind = ?resource.kind, bytes = bytes.len(), "attachment fetched");
        Ok(File { name: resource.name.clone().unwrap_or_default(), media_type, bytes })
    }
}

/// The sentence for the person, and the cause for the log.
fn remark(refusal: &Refusal, name: &str, language: Language) -> String {
    let (text, cause): (Text, &dyn std::error::Error) = match refusal {
        Refusal::Kind(text) => return text.of(language),
        Refusal::Fetch(error @ GatherError::TooLarge { .. }) => (Text::FileTooLarge, error),
        Refusal::Fetch(error @ GatherError::Send(SendError::Refused { .. })) => (Text::FileNotPermitted, error),
        Refusal::Fetch(error) => (Text::FileNotFetched, error),
        Refusal::Read(error) => (unreadable(error), error),
        Refusal::Hear(error @ TranscriptionError::NoSpeech) => (Text::NothingSaid, error),
        Refusal::Hear(error @ TranscriptionError::Rejected { .. }) => (Text::RecordingRefused, error),
        Refusal::Hear(error) => (Text::NotHeard, error),
    };
    warn!(error = cause, "an attachment is not used");
    match text {
        Text::NothingSaid | Text::RecordingRefused | Text::NotHeard => text.of(language),
        _ => text.with(language, &[("name", name.into())]),
    }
}

fn unreadable(error: &ReadError) -> Text {
    match error {
        ReadError::Unsupported { .. } => Text::FileUnsupported,
        ReadError::TooLarge { .. } => Text::FileTooLarge,
        ReadError::Locked => Text::FileLocked,
        ReadError::Damaged { .. } => Text::FileDamaged,
        ReadError::NoText => Text::FileWithoutText,
        ReadError::Timeout(_) => Text::FileTooSlow,
    }
}
