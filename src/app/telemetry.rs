//! Traces for people who have a collector (`[telemetry] otlp`, OTLP over gRPC): a span for each request that was answered and
//! for each reload. Built with feature `otel` only; without it nobody is told anything, and the configuration says so.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::{config::Telemetry as Settings, view::served::Ended};

/// Where spans go; nowhere without `[telemetry]`.
#[derive(Default)]
pub(super) struct Telemetry {
    #[cfg(feature = "otel")]
    collector: Option<collector::Collector>,
}

#[cfg(not(feature = "otel"))]
impl Telemetry {
    /// Nowhere.
    pub(super) fn start(_: Option<&Settings>, _: &Runtime) -> Result<Self, String> {
        Ok(Self::default())
    }

    /// Says nothing.
    pub(super) fn request(&self, _: &Ended<'_>) {}

    /// Says nothing.
    pub(super) fn reload(&self, _: &'static str, _: Duration) {}

    /// Says nothing.
    pub(super) fn stop(&self) {}
}

#[cfg(feature = "otel")]
impl Telemetry {
    /// Spans go to the collector of `settings` from now on; that nobody listens there is no trouble of ours.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(super) fn start(settings: Option<&Settings>, runtime: &Runtime) -> Result<Self, String> {
        let collector = settings.map(|settings| collector::Collector::start(&settings.otlp, runtime)).transpose()?;
        Ok(Self { collector })
    }

    /// A request was answered.
    pub(super) fn request(&self, ended: &Ended<'_>) {
        if let Some(collector) = &self.collector {
            collector.request(ended);
        }
    }

    /// A reload came to its end, and how.
    pub(super) fn reload(&self, outcome: &'static str, took: Duration) {
        if let Some(collector) = &self.collector {
            collector.reload(outcome, took);
        }
    }

    /// Sends what waits, for a second at most.
    pub(super) fn stop(&self) {
        if let Some(collector) = &self.collector {
            collector.stop();
        }
    }
}

#[cfg(feature = "otel")]
mod collector {
    use std::time::{Duration, SystemTime};

    use opentelemetry::{
        KeyValue,
        trace::{Span as _, SpanBuilder, SpanKind, Status, TracerProvider as _},
    };
    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::{
        Resource,
        trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
    };
    use tokio::runtime::Runtime;

    use crate::view::served::{Ended, Interface};

    /// Spans that may wait; more are dropped, readers never wait for a collector.
    const QUEUE_MAX: usize = 2048;
    /// How long spans wait to be sent together.
    const GATHER: Duration = Duration::from_millis(500);
    /// How long the last ones may take.
    const FAREWELL: Duration = Duration::from_secs(1);

    /// The way to a collector.
    pub(super) struct Collector {
        provider: SdkTracerProvider,
        tracer: SdkTracer,
    }

    impl Collector {
        pub(super) fn start(otlp: &str, runtime: &Runtime) -> Result<Self, String> {
            let _inside = runtime.enter();
            let exporter = SpanExporter::builder().with_tonic().with_endpoint(otlp).build();
            let exporter = exporter.map_err(|error| format!("[telemetry] otlp {otlp}: {error}"))?;
            let batches =
                BatchConfigBuilder::default().with_max_queue_size(QUEUE_MAX).with_scheduled_delay(GATHER).build();
            let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
            let resource = Resource::builder()
                .with_service_name("ribwatch")
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
            let provider =
                SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource.build()).build();
            let tracer = provider.tracer("ribwatch");
            Ok(Self { provider, tracer })
        }

        /// Named as the OpenTelemetry semantic conventions for RPC and HTTP name them.
        pub(super) fn request(&self, ended: &Ended<'_>) {
            let Ended { interface, route, code, took } = *ended;
            let (failed, attributes) = match interface {
                Interface::Grpc => {
                    let failed = matches!(code, "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "UNAVAILABLE" | "UNIMPLEMENTED");
                    let system = KeyValue::new("rpc.system", "grpc");
                    let method = KeyValue::new("rpc.method", route.to_owned());
                    (failed, vec![system, method, KeyValue::new("rpc.grpc.status", code.to_owned())])
                }
                Interface::Http => {
                    let status = code.parse::<i64>().unwrap_or_default();
                    let path = KeyValue::new("http.route", route.to_owned());
                    (status >= 500, vec![path, KeyValue::new("http.response.status_code", status)])
                }
            };
            self.span(route.to_owned(), SpanKind::Server, took, failed, attributes);
        }

        pub(super) fn reload(&self, outcome: &'static str, took: Duration) {
            let attributes = vec![KeyValue::new("ribwatch.reload.outcome", outcome)];
            self.span("reload".to_owned(), SpanKind::Internal, took, outcome != "applied", attributes);
        }

        /// A span that ends now.
        fn span(&self, name: String, kind: SpanKind, took: Duration, failed: bool, attributes: Vec<KeyValue>) {
            let now = SystemTime::now();
            let begun = now.checked_sub(took).unwrap_or(now);
            let builder =
                SpanBuilder::from_name(name).with_kind(kind).with_start_time(begun).with_attributes(attributes);
            let mut span = builder.start(&self.tracer);
            if failed {
                span.set_status(Status::error(""));
            }
            span.end_with_timestamp(now);
        }

        pub(super) fn stop(&self) {
            // Whoever does not listen any more misses the last ones.
            let _ = self.provider.shutdown_with_timeout(FAREWELL);
        }
    }
}
