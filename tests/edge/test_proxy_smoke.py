async def test_smoke(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream)
    visitor = await edge.connect()
    r = await visitor.get("/a%2fb?q=1", "X-A: 1", "X-A: 2")
    print(r, upstream.requests)
    assert r.body == b"ok"
    r = await visitor.get("/checkout")
    print(r)
    r = await visitor.get("/checkout")
    print(r.status, r.fields)
