"""Real name servers (NSD) for the tests of domains: what is asked of whom can be told.

The resolver knows every zone's name servers and their addresses, and old TXT records; the
zones' own servers know the new ones.
"""
import harness

NSD = "/usr/sbin/nsd"


class NameServer:
    """An NSD at 127.0.0.N with these zones: {zone: [record lines]}."""

    def __init__(self, scene, address, port, zones):
        self.address, self.port = address, port
        self.directory = scene.subdirectory("nsd-" + address)
        lines = ["server:", f'  ip-address: {address}@{port}', '  username: ""',
                 f'  zonesdir: "{self.directory}"', f'  database: ""',
                 f'  pidfile: "{self.directory}/pid"',
                 f'  xfrdfile: "{self.directory}/xfrd"',
                 f'  zonelistfile: "{self.directory}/list"',
                 "  server-count: 1", "  do-ip6: no", "remote-control:",
                 "  control-enable: no"]
        for zone, records in zones.items():
            lines += ["zone:", f'  name: "{zone}"', f'  zonefile: "{zone}.zone"']
            self.write(zone, records)
        config = self.directory / "nsd.conf"
        config.write_text("\n".join(lines) + "\n")
        self.process = scene.spawn("nsd", [NSD, "-d", "-c", config])
        harness.wait_until(lambda: "nsd started" in self.process.log()
                           or not self.process.alive(), "NSD answers")
        assert self.process.alive(), self.process.log()

    def write(self, zone, records):
        text = [f"$ORIGIN {zone}.", "$TTL 60", "@ SOA ns root 1 3600 600 86400 60", *records]
        (self.directory / f"{zone}.zone").write_text("\n".join(text) + "\n")
