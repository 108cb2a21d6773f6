//! Questions: typed, with a line that can be edited, or from a pipe.

use std::io::{self, IsTerminal as _};
use std::thread;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::sync::mpsc;

const PROMPT: &str = "> ";

/// Where questions come from.
pub enum Input {
    /// Away while a line is being typed.
    Terminal(Option<Box<DefaultEditor>>),
    Pipe(mpsc::UnboundedReceiver<io::Result<String>>),
}

/// What came.
pub enum Line {
    Text(String),
    End,
}

impl Input {
    pub fn new() -> anyhow::Result<Self> {
        if std::io::stdin().is_terminal() {
            return Ok(Self::Terminal(Some(Box::new(DefaultEditor::new()?))));
        }
        // A thread of its own: one that the runtime waits for would keep the program from ending while nothing comes.
        let (lines, pipe) = mpsc::unbounded_channel();
        thread::Builder::new().name("questions".to_owned()).spawn(move || {
            io::stdin().lines().map_while(|line| lines.send(line).ok()).for_each(drop);
        })?;
        Ok(Self::Pipe(pipe))
    }

    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    pub async fn line(&mut self) -> anyhow::Result<Line> {
        match self {
            Self::Terminal(place) => {
                let mut editor = match place.take() {
                    Some(editor) => editor,
                    None => Box::new(DefaultEditor::new()?),
                };
                // A person takes as long as they like; that must not hold up the runtime.
                let (editor, typed) = tokio::task::spawn_blocking(move || {
                    let typed = editor.readline(PROMPT);
                    (editor, typed)
                })
                .await?;
                let editor = place.insert(editor);
                match typed {
                    Ok(line) => {
                        editor.add_history_entry(&line)?;
                        Ok(Line::Text(line))
                    }
                    Err(ReadlineError::Interrupted) => {
                        eprintln!("/quit or Ctrl-D ends");
                        Ok(Line::Text(String::new()))
                    }
                    Err(ReadlineError::Eof) => Ok(Line::End),
                    Err(error) => Err(error.into()),
                }
            }
            Self::Pipe(lines) => tokio::select! {
                line = lines.recv() => Ok(line.transpose()?.map_or(Line::End, Line::Text)),
                Ok(()) = tokio::signal::ctrl_c() => Ok(Line::End),
            },
        }
    }
}
