### Every fixed sentence a person may read. Names and variables are the same as in zh.ftl.

## Cards

stop-button = Stop
new-topic-button = New topic
thinking = Thinking…
reasoning-title = Reasoning
thanks-for-vote = Thank you for your feedback
stopping = Stopping
not-yours = Only the person who asked can do this
unknown-card = This card no longer works

## Commands, and messages that can't be read

help =
    Just ask; in a group, @mention me.

    - `/help`: this page
    - `/new`: begin a new topic and leave the old one behind
    - `/status`: which models are available
new-topic = All right, a fresh start.
empty-message = Please write your question in the message.
unreadable-message = I can't read this kind of message yet. Please write your question as text.
unknown-command = There is no such command. Send `/help` to see them.

## Waiting. $questions: how many come first; $seconds: whole seconds

queue =
    { $questions ->
        [one] { $questions } question before yours.
       *[other] { $questions } questions before yours.
    }
queue-with-wait =
    { $questions ->
        [one] { $questions } question before yours; about { $seconds } s to wait.
       *[other] { $questions } questions before yours; about { $seconds } s to wait.
    }
wait = The answer will begin in about { $seconds } s.

## No answer, or not all of one

stopped = Stopped.
recalled = The question was taken back, so it is not answered.
question-too-long = This message is longer than the model can read at once. Please shorten it.
no-engine = No model is set up at the moment. Please tell your administrator.
engine-busy = Too many questions at the moment. Please try again shortly.
engine-slow = The model did not answer in time. Please try again.
engine-failed = The model failed. Please try again later.
interrupted = The answer broke off here and is not complete.
given-up = This answer could not be completed after several attempts. Please ask again.
content-refused = The platform did not allow this answer to be shown.

## How engines are, and the small print of an answer. $seconds: written out already, one decimal

works = available
does-not-work = not available
local = local
cloud = cloud
took = { $seconds } s
tokens =
    { $count ->
        [one] { $count } token
       *[other] { $count } tokens
    }
fell-back = fell back ({ $cause })
