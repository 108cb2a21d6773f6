### 人会读到的所有固定句子。每条的名字和变量须与 en.ftl 一致。

## 卡片

stop-button = 停止
new-topic-button = 新话题
regenerate-button = 重新回答
other-engine-button = 换 { $engine } 回答
vote-form-title = 这个回答哪里不好？
vote-form-comment = 可以多说几句
vote-form-submit = 提交
vote-form-close = 关闭
reason-wrong = 内容有误
reason-incomplete = 不够完整
reason-off-topic = 答非所问
reason-unclear = 不好理解
reason-other = 其他
thinking = 正在思考…
reasoning-title = 思考过程
reasoning-hidden = 思考过程未显示
thanks-for-vote = 谢谢反馈
stopping = 正在停止
not-yours = 只有提问的人可以这样做
unknown-card = 这张卡片已失效
regenerating = 正在重新回答
still-answering = 还在回答中
please-say-why = 谢谢，请说说原因
asked-for-you = 已提问
command-sent = 收到
other-engine-gone = 这个模型已经没有了

## 命令和读不了的消息

help =
    直接提问即可；在群里请 @ 我。

    - `/help` 或 `/帮助`：显示这份说明
    - `/new` 或 `/新话题`：开始新话题，之前的内容不再参考
    - `/stop` 或 `/停止`：停止正在写的回答
    - `/status` 或 `/状态`：查看哪些模型可用
    - `/model` 或 `/模型`：选择由谁回答
    - `/history` 或 `/历史`：以前的话题，可以接着聊
    - `/export` 或 `/导出`：把当前话题导出成文件
    - `/whoami` 或 `/我是谁`：我认识的你
    - `/pause`、`/resume` 或 `/暂停`、`/恢复`：管理员用，对当前会话生效
new-topic = 好的，我们从头开始。
empty-message = 请把问题写在消息里，例如：@我 怎么报销？
unreadable-message = 这种消息我还读不懂，请把问题写成文字发给我。
about-the-picture = 这张图片里有什么？
no-vision = 这里的模型都看不了图片。请用文字描述，或请管理员配置能看图的模型。
unknown-picture = 这种图片我打不开，支持 PNG、JPEG、WebP 和 GIF。
no-hearing = 我在这里听不了语音，请把问题写成文字。
nothing-said = 这段语音里没有听到人说话，请重新录或写成文字。
recording-refused = 这段语音听不懂，请重新录短一点的，或写成文字。
not-heard = 现在听不了语音，请把问题写成文字。
too-many-files = 我只看了前 { $count } 个附件。
file-too-large = 文件“{ $name }”太大了，请只发需要的部分。
file-not-permitted = 我没有权限打开文件“{ $name }”，请联系管理员。
file-not-fetched = 文件“{ $name }”没有取到，请重新发送。
file-unsupported = 文件“{ $name }”我读不了。支持文本、Markdown、CSV、PDF 和 Word（docx）。
file-locked = 文件“{ $name }”有密码保护，请去掉密码后再发。
file-damaged = 文件“{ $name }”已损坏，请重新保存后再发。
file-without-text = 文件“{ $name }”里没有文字，可能只有图片。请把文字复制到消息里。
file-too-slow = 文件“{ $name }”读得太久了，请发小一点的文件。
unknown-command = 没有这个命令。发送 `/帮助` 查看可用命令。
unknown-command-near = 没有这个命令。是想发 `/{ $command }` 吗？发送 `/帮助` 查看全部命令。
denied = 你没有在这里使用我的权限，请联系管理员。
admins-only = 只有这个机器人的管理员可以这样做。
too-many-messages = 消息发得太快了，请 { $seconds } 秒后再来。
stopped-answers = 已停止。
nothing-to-stop = 这里现在没有在为你回答的问题。
paused = 在管理员发送 `/恢复` 之前，我不再回答这个会话里的消息。
resumed = 我重新在这个会话里回答。
is-paused = 我在这个会话里已暂停，管理员可以发送 `/恢复`。
model-choice = 选择由谁来回答你：
model-chosen = 从现在起，这里优先由 **{ $model }** 回答你。
model-auto = 从现在起，自动选择模型。
model-unknown = 没有可选的模型 `{ $model }`，请从下面选择：
history-title = 你在这里最近的话题。点一下，或发送 `/历史` 加编号，就能接着聊。
history-empty = 这里还没有话题。
history-resumed = 接着聊：{ $topic }
history-unknown = 这里没有这个话题。
history-summary = 目前的小结
history-current = 当前
untitled = （无标题）
export-empty = 当前话题还没有内容可以导出。
export-link = [当前话题的文件]({ $link })。链接 { $hours } 小时内有效；拿到链接的人都能看到内容。
export-title = 导出
who-am-i =
    - 名字：{ $name }
    - 用户 id：`{ $user }`
    - 会话 id：`{ $chat }`
    - 平台：{ $platform }
    - 身份：{ $role }
administrator = 管理员
member = 成员
status-queue = 正在回答：{ $running }；排队：{ $waiting }
welcome-title = 你好
welcome = 你好！有问题直接问我；我们聊的内容都留在公司内部。
welcome-group = 大家好！@我 并写下问题，我就在这里回答。
help-button = 我能做什么
help-new = 新话题
help-stop = 停止回答
help-status = 查看状态
help-model = 选择模型
help-history = 以前的话题
help-export = 导出当前话题
help-who-am-i = 我是谁

## 等待。$questions：前面的问题数；$seconds：整秒数

queue = 前面还有 { $questions } 个问题。
queue-with-wait = 前面还有 { $questions } 个问题，大约 { $seconds } 秒后开始回答。
wait = 大约 { $seconds } 秒后开始回答。

## 没有答案，或者答案不完整

stopped = 已停止。
recalled = 问题已撤回，不再回答。
overtaken = 你有了新问题，这个回答到此为止。
question-too-long = 这条消息太长，超出了模型一次能读的长度，请缩短后再发。
no-engine = 现在没有可用的模型，请联系管理员。
engine-busy = 现在提问的人太多，请稍后再试。
engine-slow = 模型没有及时回应，请稍后再试。
engine-failed = 模型出错了，请稍后再试。
interrupted = 回答在中途断开了，以上内容不完整。
given-up = 多次尝试后仍无法完成这次回答，请重新提问。
content-refused = 平台不允许显示这个答案。

## 模型状态，以及答案下面的小字。$seconds：已写成文字，一位小数

works = 可用
does-not-work = 暂不可用
local = 本地
cloud = 云端
took = { $seconds } s
tokens = { $count } tokens
fell-back = 已切换（{ $cause }）
cause-overloaded = 太忙
cause-unavailable = 不可用
cause-timeout = 响应太慢
cause-interrupted = 中途断开
cause-breaker-open = 多次失败后暂停
cause-rejected = 不接受这个问题
cause-missing = 没有配置
cause-misconfigured = 配置有误
