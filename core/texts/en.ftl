### Every fixed sentence a person may read. Names and variables are the same as in zh.ftl.

## Cards

stop-button = Stop
new-topic-button = New topic
regenerate-button = Regenerate
other-engine-button = Ask { $engine }
vote-form-title = What was wrong with this answer?
vote-form-comment = Say more if you like
vote-form-submit = Send
vote-form-close = Close
reason-wrong = It is wrong
reason-incomplete = It is incomplete
reason-off-topic = It misses the question
reason-unclear = It is hard to understand
reason-other = Something else
thinking = Thinking…
reasoning-title = Reasoning
reasoning-hidden = Reasoning not shown
thanks-for-vote = Thank you for your feedback
stopping = Stopping
not-yours = Only the person who asked can do this
unknown-card = This card no longer works
regenerating = Answering once more
still-answering = This is still being answered
please-say-why = Thank you; please say why
asked-for-you = Asked
command-sent = On its way
other-engine-gone = This model is not there any more

## Commands, and messages that can't be read

help =
    Just ask; in a group, @mention me.

    - `/help`: this page
    - `/new`: begin a new topic and leave the old one behind
    - `/stop`: end the answer that is being written
    - `/status`: which models are available
    - `/model`: choose who answers
    - `/history`: earlier topics, and go on with one
    - `/export`: the current topic as a file
    - `/whoami`: what I know you by
    - `/pause`, `/resume`: for administrators, in this chat
new-topic = All right, a fresh start.
empty-message = Please write your question in the message.
unreadable-message = I can't read this kind of message yet. Please write your question as text.
about-the-picture = What does this picture show?
no-vision = No model here can see pictures. Please write what it shows, or ask your administrator for a model that can.
unknown-picture = This picture is of a kind that I can't open. PNG, JPEG, WebP and GIF work.
no-hearing = I can't listen to voice messages here. Please write your question as text.
nothing-said = I heard nobody speak in this voice message. Please record it again or write.
recording-refused = This voice message could not be understood. Please record it again, shorter, or write.
not-heard = Voice messages can't be understood at the moment. Please write your question as text.
too-many-files = I looked at the first { $count } attachments only.
file-too-large = The file "{ $name }" is too large. Please send the part that matters.
file-not-permitted = I have no permission to open the file "{ $name }". Please tell your administrator.
file-not-fetched = The file "{ $name }" could not be fetched. Please send it again.
file-unsupported = I can't read the file "{ $name }". Text, Markdown, CSV, PDF and Word (docx) work.
file-locked = The file "{ $name }" is protected by a password. Please take it off and send it again.
file-damaged = The file "{ $name }" is damaged. Please save it again and resend it.
file-without-text = There is no text in the file "{ $name }", only pictures perhaps. Please copy the text into a message.
file-too-slow = The file "{ $name }" took too long to read. Please send a smaller one.
unknown-command = There is no such command. Send `/help` to see them.
unknown-command-near = There is no such command. Did you mean `/{ $command }`? Send `/help` to see all of them.
denied = You may not use this bot here. Please ask your administrator.
admins-only = Only administrators of this bot can do this.
too-many-messages =
    { $seconds ->
        [one] That was too many messages in a short time. Please come back in { $seconds } second.
       *[other] That was too many messages in a short time. Please come back in { $seconds } seconds.
    }
stopped-answers = Stopped.
nothing-to-stop = Nothing is being answered for you here.
paused = I will answer nobody in this chat until an administrator sends `/resume`.
resumed = I answer again in this chat.
is-paused = I am paused in this chat. An administrator can send `/resume`.
model-choice = Choose who answers you here:
model-chosen = From now on **{ $model }** answers you here first.
model-auto = From now on the model is chosen for you.
model-unknown = There is no model `{ $model }` to choose. Choose one of these:
history-title = Your latest topics here. Press one, or send `/history` and its number, to go on with it.
history-empty = There are no topics here yet.
history-resumed = We go on with: { $topic }
history-unknown = There is no such topic here.
history-summary = Summary so far
history-current = current
untitled = (without a title)
export-empty = There is nothing to export in the current topic.
export-link = [Your current topic as a file]({ $link }). The link works for { $hours } hours; whoever has it can read it.
export-title = Export
who-am-i =
    - Name: { $name }
    - User id: `{ $user }`
    - Chat id: `{ $chat }`
    - Platform: { $platform }
    - Role: { $role }
administrator = administrator
member = member
status-queue = Answers running: { $running }; waiting: { $waiting }
welcome-title = Hello
welcome = Hello! Ask me anything; I keep what we talk about in this house.
welcome-group = Hello! @mention me with a question and I will answer here.
help-button = What I can do
help-new = New topic
help-stop = Stop the answer
help-status = Status
help-model = Choose a model
help-history = Earlier topics
help-export = Export this topic
help-who-am-i = Who am I

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
overtaken = Ended here, because you asked something new.
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
cause-overloaded = busy
cause-unavailable = not available
cause-timeout = too slow
cause-interrupted = broke off
cause-breaker-open = resting after failures
cause-rejected = refused the question
cause-missing = not set up
cause-misconfigured = set up wrongly
