"""The panels of the dashboard: what people ask, in both languages, and the query that answers it.

Queries work over one process and over many: every process shows every unlabelled gauge, at 0 where
it is not its own, hence max() and sum().
"""

from dataclasses import dataclass
from typing import Final

RATE: Final = "[$__rate_interval]"
_TO_ALERT: Final = "hearthwatch_alerts_change_to_alert_seconds"
_LATENESS: Final = "hearthwatch_alerts_step_lateness_seconds"
_BUGS: Final = '{status=~"5..",status!="503"}'
_DISK: Final = "hearthwatch_disk_free_bytes / (hearthwatch_disk_size_bytes > 0)"
_BURIED: Final = "hearthwatch_worker_dead_letters_total"
_REQUEST: Final = "hearthwatch_http_request_duration_seconds"


@dataclass(frozen=True)
class Panel:
    """One chart (`timeseries`) or number (`stat`).

    queries: pairs of PromQL and legend. limit: from which value on it is shown as trouble; below:
    up to which value.
    """

    en: str
    zh: str
    about: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 8
    limit: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Row:
    """A question and the panels that answer it."""

    en: str
    zh: str
    panels: tuple[Panel, ...]


def _now(en: str, zh: str, about: str, unit: str, query: str, **limits: float) -> Panel:
    return Panel(en, zh, about, unit, ((query, ""),), "stat", 4, **limits)


def _rate(by: str, metric: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{labels}{RATE}))"


def _hourly(by: str, metric: str) -> str:
    return f"{_rate(by, metric)} * 3600"


def _quantile(share: float, by: str, metric: str, labels: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(by, metric + '_bucket', labels)})"


def _share(part: str, whole: str) -> str:
    return f"sum(rate({part}{RATE})) / sum(rate({whole}{RATE}))"


ROWS: Final = (
    Row(
        "Now",
        "此刻",
        (
            _now(
                "Red without an answer", "红色未应答",
                "Open red alerts that nobody has acknowledged.", "short",
                'max(hearthwatch_alerts_unacknowledged{level="3"})', limit=1,
            ),
            _now(
                "Oldest red without an answer", "最久未应答红色",
                "Since its clock began. Ten minutes is the second step of a usual ladder.", "s",
                'max(hearthwatch_alerts_oldest_unacknowledged_age_seconds{level="3"})', limit=600,
            ),
            _now(
                "Roles without anybody", "无人值班岗位",
                "Roles of the ladders that no turn of the roster covers now.", "short",
                "max(hearthwatch_alerts_roles_without_duty)", limit=1,
            ),
            _now(
                "Dead letters", "死信",
                "Messages that could not be handled and that nobody has sent again.", "short",
                "max(hearthwatch_dead_letters)", limit=1,
            ),
            _now(
                "Services not ready", "未就绪服务",
                "How many services say that they are not ready.", "short",
                "count(min by (service) (hearthwatch_ready) == 0) or vector(0)", limit=1,
            ),
            _now(
                "Alarms on", "告警数",
                "Alarms that fire now, without the dead man's switch.", "short",
                'count(ALERTS{alertstate="firing",alertname!="DeadMansSwitch"}) or vector(0)',
                limit=1,
            ),
        ),
    ),
    Row(
        "How long from a change to an alert?",
        "从变化到警情要多久?",
        (
            Panel(
                "Change to alert, 99 %, by level", "变化到警情(99%,按等级)",
                "From receipt at the door to the alert's row. The bar is 1 s.", "s",
                ((_quantile(0.99, "level, le", _TO_ALERT, '{cause="fact"}'), "level {{level}}"),),
                limit=1,
            ),
            Panel(
                "Alerts within a second", "一秒内成为警情的比例",
                "Share of alerts opened by a fact that took at most 1 s; the aim is 99 %.",
                "percentunit",
                (
                    (
                        _share(
                            _TO_ALERT + '_bucket{cause="fact",le="1.0"}',
                            _TO_ALERT + '_count{cause="fact"}',
                        ),
                        "within 1 s",
                    ),
                ),
                below=0.99,
            ),
            Panel(
                "Alerts opened an hour, by level", "每小时新开警情(按等级)",
                "How many alerts open.", "short",
                ((_hourly("level", "hearthwatch_alerts_opened_total"), "level {{level}}"),),
            ),
            Panel(
                "A batch at the door, 95 %", "入口一批(95%)",
                "Until a batch of changes was checked and synced.", "s",
                ((_quantile(0.95, "le", "hearthwatch_intake_accept_duration_seconds"), "95 %"),),
            ),
            Panel(
                "Ticks, 99 %", "定时任务(99%)",
                "One call of each tick, among them the sweep of what is due.", "s",
                ((_quantile(0.99, "tick, le", "hearthwatch_tick_duration_seconds"), "{{tick}}"),),
            ),
        ),
    ),
    Row(
        "Does every escalation come on time?",
        "每次升级都准时吗?",
        (
            Panel(
                "Lateness of escalations", "升级延迟",
                "From a step's due instant to its firing. Bars: 99 % within 2 s, all within 5 s.",
                "s",
                (
                    (_quantile(0.99, "le", _LATENESS), "99 %"),
                    (_quantile(1, "le", _LATENESS), "worst"),
                ),
                limit=5,
            ),
            Panel(
                "Steps fired and promises missed an hour", "每小时触发步骤与失约",
                "Deadlines that came, by what they were.", "short",
                ((_hourly("outcome", "hearthwatch_alerts_steps_total"), "{{outcome}}"),),
            ),
            Panel(
                "Heartbeat of the sweep, and what it missed", "升级引擎心跳与漏触发",
                "Seconds since the sweep last came round; steps that the auditor found overdue; "
                "alerts that could not be fired, an hour.",
                "short",
                (
                    (
                        'max(hearthwatch_loop_progress_age_seconds{loop="alerts.ticks"})',
                        "seconds since",
                    ),
                    ("max(hearthwatch_alerts_overdue_steps)", "overdue steps"),
                    (f"3600 * sum(rate(hearthwatch_alerts_set_aside_total{RATE}))", "set aside"),
                ),
                limit=10,
            ),
        ),
    ),
    Row(
        "Is anybody waiting for an answer, and how long?",
        "有人在等回应吗,等了多久?",
        (
            Panel(
                "Oldest without an answer, by level", "最久未应答(按等级)",
                "Since the clock of the oldest unacknowledged alert began.", "s",
                (
                    (
                        "max by (level) (hearthwatch_alerts_oldest_unacknowledged_age_seconds)",
                        "level {{level}}",
                    ),
                ),
                limit=600,
            ),
            Panel(
                "Open alerts, by level", "未结警情(按等级)",
                "Open alerts, and those among them without an answer.", "short",
                (
                    ("max by (level) (hearthwatch_alerts_open)", "open, level {{level}}"),
                    (
                        "max by (level) (hearthwatch_alerts_unacknowledged)",
                        "no answer, level {{level}}",
                    ),
                ),
            ),
            Panel(
                "What people did an hour", "每小时人工操作",
                "Acknowledgements, outcomes, closings and the rest, done or refused.", "short",
                (
                    (
                        _hourly("command, outcome", "hearthwatch_alerts_commands_total"),
                        "{{command}} {{outcome}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "Does what is decided reach a person, and is one there?",
        "决定能送达人吗?有人在岗吗?",
        (
            Panel(
                "Deliveries an hour, by result", "每小时送达(按结果)",
                "Attempts by channel and result; failed means that nobody could be told.", "short",
                (
                    (
                        _hourly("channel, outcome", "hearthwatch_alerts_deliveries_total"),
                        "{{channel}} {{outcome}}",
                    ),
                ),
            ),
            Panel(
                "Oldest message not delivered", "最久未送达通知",
                "Since the oldest step that is not delivered yet was due.", "s",
                (("max(hearthwatch_alerts_undelivered_age_seconds)", "oldest"),),
                limit=60,
            ),
            Panel(
                "Nobody on duty", "无人值班",
                "Roles that the roster leaves empty now; lookups an hour that found nobody.",
                "short",
                (
                    ("max(hearthwatch_alerts_roles_without_duty)", "empty roles"),
                    (
                        f"sum(rate(hearthwatch_alerts_nobody_on_duty_total{RATE})) * 3600",
                        "lookups an hour",
                    ),
                ),
                limit=1,
            ),
        ),
    ),
    Row(
        "Does anything pile up on the way?",
        "途中有积压吗?",
        (
            Panel(
                "Records not read yet", "未读记录",
                "Records of its topic that each reader's group has not settled.", "short",
                (("max by (worker) (hearthwatch_worker_lag_records)", "{{worker}}"),),
            ),
            Panel(
                "Age of the oldest unread record", "最久未读记录",
                "How far behind each reader is, in time.", "s",
                (
                    (
                        "max by (worker) (hearthwatch_worker_oldest_unread_age_seconds)",
                        "{{worker}}",
                    ),
                ),
                limit=60,
            ),
            Panel(
                "Age of the last mark", "最近时间标记",
                "Marks come every 5 s; without them absence is not concluded.", "s",
                (("max by (service) (hearthwatch_risk_mark_age_seconds)", "{{service}}"),),
                limit=60,
            ),
            Panel(
                "Records settled a second", "每秒处理记录",
                "By reader.", "short",
                ((_rate("worker", "hearthwatch_worker_records_total"), "{{worker}}"),),
            ),
            Panel(
                "Waiting to be published", "待发布",
                "Records in each outbox; growing means that the bus is away.", "short",
                (("max by (service) (hearthwatch_outbox_unsent_records)", "{{service}}"),),
                limit=100,
            ),
            Panel(
                "Published a second, and moves waiting", "每秒发布与等待的迁移",
                "Records brought to the bus; moves whose other half has not come.", "short",
                (
                    (_rate("service", "hearthwatch_relay_records_total"), "{{service}}"),
                    ("max(hearthwatch_alerts_waiting_moves)", "waiting moves"),
                ),
            ),
        ),
    ),
    Row(
        "What could nobody read?",
        "哪些内容没人能读懂?",
        (
            Panel(
                "Dead letters", "死信",
                "Waiting for somebody, and buried an hour by reader.", "short",
                (
                    ("max(hearthwatch_dead_letters)", "waiting"),
                    (
                        f"{_hourly('worker', _BURIED)} or vector(0)",
                        "buried {{worker}}",
                    ),
                ),
                limit=1,
            ),
            Panel(
                "Refused items not mended", "待更正被拒项",
                "Grave: of a type that can give red, and so a task of an hour.", "short",
                (("max by (grave) (hearthwatch_intake_kept_items)", "grave: {{grave}}"),),
            ),
            Panel(
                "Changes a second at the door", "入口每秒变化",
                "By what was done with them.", "short",
                ((_rate("outcome", "hearthwatch_intake_changes_total"), "{{outcome}}"),),
            ),
        ),
    ),
    Row(
        "How much do we not know?",
        "我们有多少不知道?",
        (
            Panel(
                "Assessments with something unknown", "含未知的评估比例",
                "Share of assessments with a rule that could not be decided.", "percentunit",
                (
                    (
                        _share(
                            "hearthwatch_risk_unknown_assessments_total",
                            "hearthwatch_risk_assessments_total",
                        ),
                        "unknown",
                    ),
                ),
                width=12,
                limit=0.5,
            ),
            Panel(
                "Assessments a minute, by level", "每分钟评估(按等级)",
                "Published assessments by the subject's level.", "short",
                (
                    (
                        f"sum by (level) (rate(hearthwatch_risk_assessments_total{RATE})) * 60",
                        "level {{level}}",
                    ),
                ),
                width=12,
            ),
        ),
    ),
    Row(
        "Who looks beyond their own areas?",
        "谁看了片区以外的?",
        (
            Panel(
                "Glasses open, and not reviewed", "紧急查阅:打开的与未复核的",
                "Households opened in an emergency; late: a day old and no head has reviewed it.",
                "short",
                (("max by (state) (hearthwatch_console_glasses)", "{{state}}"),),
                width=24,
            ),
        ),
    ),
    Row(
        "Is it up and sound?",
        "系统正常吗?",
        (
            Panel(
                "Ready", "就绪",
                "1 when the service says that it is ready.", "short",
                (("min by (service) (hearthwatch_ready)", "{{service}}"),),
                below=1,
            ),
            Panel(
                "Requests a second", "每秒请求",
                "By service, and those that ended in a bug (5xx other than 503).", "reqps",
                (
                    (_rate("service", "hearthwatch_http_requests_total"), "{{service}}"),
                    (
                        f"sum(rate(hearthwatch_http_requests_total{_BUGS}{RATE})) or vector(0)",
                        "bugs",
                    ),
                ),
            ),
            Panel(
                "Request time, 95 %", "请求耗时(95%)",
                "From the first byte of the request to the end of the answer. Bar: 200 ms.", "s",
                ((_quantile(0.95, "service, le", _REQUEST), "{{service}}"),),
                limit=0.2,
            ),
            Panel(
                "Loops: turns a second and errors", "循环:每秒转数与错误",
                "Retryable: infrastructure out of reach. Bug: of ours.", "short",
                (
                    (_rate("loop", "hearthwatch_loop_turns_total"), "{{loop}}"),
                    (_rate("kind", "hearthwatch_loop_errors_total"), "errors: {{kind}}"),
                ),
            ),
            Panel(
                "Free disk", "磁盘剩余",
                "Where each process keeps its data folder.", "percentunit",
                ((f"min by (instance) ({_DISK})", "{{instance}}"),),
                below=0.1,
            ),
            Panel(
                "Memory", "内存",
                "Resident memory of each process.", "bytes",
                (('max by (instance) (process_resident_memory_bytes{job="hearthwatch"})',
                  "{{instance}}"),),
            ),
        ),
    ),
)  # fmt: skip
