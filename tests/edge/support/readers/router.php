<?php
// Answers with the paths that PHP's own parser and server read in a request's target, as a JSON list.
$uri = $_SERVER['REQUEST_URI'];
$parsed = parse_url($uri, PHP_URL_PATH);
$read = [is_string($parsed) ? $parsed : '', explode('?', $uri)[0], $_SERVER['PATH_INFO'] ?? '', $_SERVER['SCRIPT_NAME'] ?? ''];
echo json_encode(array_merge($read, array_map('rawurldecode', $read)), JSON_INVALID_UTF8_SUBSTITUTE);
