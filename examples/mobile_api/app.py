"""A JSON API in FastAPI for mobile applications, guarded without any web page.

pip install caputchin-gate fastapi uvicorn
uvicorn app:app --app-dir examples/mobile_api
python examples/mobile_api/client.py http://127.0.0.1:8000 Ann

What an application on a phone does for a token is in client.py: two requests and a loop.
"""

from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel

from caputchin_gate import load_gate
from caputchin_gate.fastapi import install

gate = load_gate(Path(__file__).with_name("gate.toml"))
app = FastAPI(title="Accounts")
install(app, gate)
accounts: list[str] = []


class Account(BaseModel):
    name: str


@app.post("/api/accounts", status_code=201)
async def create(account: Account) -> dict[str, int]:
    accounts.append(account.name)
    return {"id": len(accounts)}


@app.get("/api/accounts/{id}")
async def read(id: int) -> Account:
    return Account(name=accounts[id - 1])
