"""Metrics of the event path, bound once. Names say the unit; docs/events.md says which of them to alert on."""

from core.telemetry.metrics import CounterChild, GaugeChild, Merge, Telemetry

# Event to biddable is promised within a second; the buckets resolve around it.
FRESHNESS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0, 60.0)


class IntakeMetrics:
    """The tracker's side."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.accepted: CounterChild = telemetry.counter(
            "grosz_events_accepted_total", "Shop events stored durably and acknowledged."
        ).labels()
        self.refused: CounterChild = telemetry.counter(
            "grosz_events_refused_total", "Shop events refused with 503 because their partition's backlog is full."
        ).labels()
        self.invalid: CounterChild = telemetry.counter(
            "grosz_events_invalid_total", "Shop events refused with 400 because of a fault in them."
        ).labels()
        self.without_consent: CounterChild = telemetry.counter(
            "grosz_events_without_consent_total", "Shop events dropped because a profile may not be written."
        ).labels()
        self.unmatched: CounterChild = telemetry.counter(
            "grosz_events_unmatched_total", "Events by hashed e-mail of a person that no device has logged in as."
        ).labels()
        self.mended = telemetry.counter(
            "grosz_events_mended_total", "Members of shop events that were cut or rewritten to be taken.", ("member",)
        )
        self.unknown_members = telemetry.counter(
            "grosz_events_unknown_members_total",
            "Members of shop events that were ignored and are spelt nearly like a known one.",
            ("member",),
        )
        self.syncs = telemetry.counter(
            "grosz_cookie_syncs_total", "Cookie sync calls.", ("exchange", "browser", "outcome")
        )


class WorkerMetrics:
    """The worker's side."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.applied: CounterChild = telemetry.counter(
            "grosz_events_applied_total", "Shop events applied to a profile."
        ).labels()
        outcomes = telemetry.counter("grosz_events_skipped_total", "Shop events that changed nothing.", ("reason",))
        self.repeated: CounterChild = outcomes.labels("repeated")
        self.opted_out: CounterChild = outcomes.labels("opted_out")
        self.erased: CounterChild = outcomes.labels("erased")
        self.unknown_advertiser: CounterChild = outcomes.labels("unknown_advertiser")
        self.dead: CounterChild = telemetry.counter(
            "grosz_events_dead_total", "Shop events set aside because they could not be applied; must stay 0."
        ).labels()
        self.contended: CounterChild = telemetry.counter(
            "grosz_profile_contended_total", "Profile writes repeated because something else wrote first."
        ).labels()
        self.backlog: GaugeChild = telemetry.gauge(
            "grosz_event_backlog", "Shop events stored but not yet applied, over this worker's partitions."
        ).labels()
        self.partitions: GaugeChild = telemetry.gauge(
            "grosz_event_partitions", "Partitions that this worker owns."
        ).labels()
        self.lag_s: GaugeChild = telemetry.gauge(
            "grosz_event_lag_seconds", "Age of the newest applied event.", merge=Merge.MAX
        ).labels()
        self.freshness = telemetry.histogram(
            "grosz_event_freshness_seconds", "Time from an event's acknowledgement until bids see its profile.",
            bounds=FRESHNESS_BUCKETS,
        ).labels()  # fmt: skip
        self.hook_wait_s: GaugeChild = telemetry.gauge(
            "grosz_webhook_wait_seconds", "How long the oldest audience hook call has been due.", merge=Merge.MAX
        ).labels()
        self.webhooks = telemetry.counter(
            "grosz_webhook_deliveries_total", "Calls of audience hooks, by outcome.", ("outcome",)
        )
