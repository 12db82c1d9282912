"""An S3 server, and a proxy before it that fails on purpose."""

import http.client
import http.server
import logging
import threading
import time

from moto.server import ThreadedMotoServer


class FaultyS3:
    """`fault(method, path)` says what happens to a request: None, "503", "cut" or seconds to wait."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.store.start()
        self.fault = lambda method, path: None
        self.requests = []
        self.proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()
        self.request("PUT", "/bucket")

    def environment(self):
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxy.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(*self.store.get_host_and_port())
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response, response.read()

    def handler(self):
        faulty = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = self.path.split("?")[0]
                faulty.requests.append((self.command, path))
                fault = faulty.fault(self.command, path)
                if isinstance(fault, (int, float)):
                    time.sleep(fault)
                if fault == "503":
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                response, content = faulty.request(self.command, self.path, body, headers)
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = response.headers.get("Content-Length", len(content))
                self.send_header("Content-Length", length if self.command == "HEAD" else len(content))
                self.end_headers()
                if fault == "cut":
                    content = content[: len(content) // 2]
                    self.close_connection = True
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        return Handler

    def stop(self):
        self.proxy.shutdown()
        self.store.stop()
