### 人会读到的所有固定句子。每条的名字和变量须与 en.ftl 一致。

## 卡片

stop-button = 停止
new-topic-button = 新话题
thinking = 正在思考…
reasoning-title = 思考过程
thanks-for-vote = 谢谢反馈
stopping = 正在停止
not-yours = 只有提问的人可以这样做
unknown-card = 这张卡片已失效

## 命令和读不了的消息

help =
    直接提问即可；在群里请 @ 我。

    - `/help` 或 `/帮助`：显示这份说明
    - `/new` 或 `/新话题`：开始新话题，之前的内容不再参考
    - `/status` 或 `/状态`：查看哪些模型可用
new-topic = 好的，我们从头开始。
empty-message = 请把问题写在消息里，例如：@我 怎么报销？
unreadable-message = 这种消息我还读不懂，请把问题写成文字发给我。
unknown-command = 没有这个命令。发送 `/帮助` 查看可用命令。

## 等待。$questions：前面的问题数；$seconds：整秒数

queue = 前面还有 { $questions } 个问题。
queue-with-wait = 前面还有 { $questions } 个问题，大约 { $seconds } 秒后开始回答。
wait = 大约 { $seconds } 秒后开始回答。

## 没有答案，或者答案不完整

stopped = 已停止。
recalled = 问题已撤回，不再回答。
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
