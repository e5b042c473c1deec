"""The web handler: http://127.0.0.1:8080/blank?message=die puts `die` through the pipeline."""

import asab.web.rest


class BlankWebHandler:
    def __init__(self, app, service):
        self.BlankService = service
        app.WebContainer.WebApp.router.add_get("/blank", self.blank)

    async def blank(self, request):
        answer = await self.BlankService.get_data(request.query.get("message", "be"))
        return asab.web.rest.json_response(request, {"result": answer})
