"""A real Apache Kafka of one node (KRaft), from its jars; they come by Maven, once a machine."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.kit.fixtures import REPOSITORY, find_free_port, skip_or_fail

POM: Final = REPOSITORY / "tests" / "kit" / "kafka" / "pom.xml"
_JAVA: Final = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_START_S: Final = 60.0
# Settings that make both the older and the newer fetching code of Maven try again when a server fails once.
_PATIENT: Final = ("-Dmaven.wagon.http.retryHandler.count=5", "-Daether.connector.http.retryHandler.count=5")


def kafka_jars() -> Path:
    """The folder of jars. Where they cannot be had, the test is skipped, or fails in CI."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            skip_or_fail(f"needs a program that is not installed: {program}")
    (version,) = re.findall(r"kafka_2\.13</artifactId><version>([\d.]+)<", POM.read_text(encoding="utf-8"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grosz-tests"
    jars = cache / f"kafka-{version}"
    if not jars.is_dir():
        begun = cache / f"kafka-{version}.{os.getpid()}"
        done = subprocess.run(
            ["mvn", "-q", "-B", "-U", *_PATIENT, "-f", str(POM), "dependency:copy-dependencies",
             f"-DoutputDirectory={begun}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            skip_or_fail(f"Kafka's jars cannot be had from Maven: {(done.stdout + done.stderr)[-300:]}")
        try:
            begun.rename(jars)
        except OSError:  # another test process was faster
            shutil.rmtree(begun)
    return jars


class KafkaServer:
    """One broker on a free port, with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._classes = f"{kafka_jars()}/*"
        self._folder = folder
        self.port, controller = find_free_port(), find_free_port()
        self.address = f"127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._settings = folder / "server.properties"
        self._settings.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://{self.address}\ncontroller.listener.names=CONTROLLER\n"
            f"log.dirs={folder / 'logs'}\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            "transaction.state.log.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\n",
            encoding="utf-8",
        )
        subprocess.run(
            [*_JAVA, "-cp", self._classes, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c",
             str(self._settings)],
            capture_output=True, check=True,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start, and return when it takes connections."""
        with (self._folder / "kafka.log").open("ab") as log:
            self._running = subprocess.Popen(
                [*_JAVA, "-cp", self._classes, "kafka.Kafka", str(self._settings)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while True:
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._running.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self._folder / "kafka.log").read_text()[-2_000:])
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it: its log is on the disk."""
        self._running.send_signal(signal.SIGKILL)
        self._running.wait()
